-- Keys of several algorithms. `thumbprint` is that of the public key (RFC 7638) if the kid is another text; NULL: the kid is the thumbprint. One key is never
-- in the table twice, whatever its kid and algorithm. The public key of another issuer has no private half: its `private_jwe` is an empty text, because the
-- constraint of the table wants one as long as the key is published.
ALTER TABLE signing_keys ADD COLUMN thumbprint TEXT;
CREATE UNIQUE INDEX IF NOT EXISTS signing_keys_thumbprint ON signing_keys (COALESCE(thumbprint, kid));

-- What `key_ring` holds for EdDSA, for every other algorithm: when the second rotation after an emergency is due, and the largest verifier cache so far.
CREATE TABLE key_slots (
    algorithm TEXT PRIMARY KEY NOT NULL,
    rotate_after BIGINT,
    verifier_cache BIGINT NOT NULL
);
