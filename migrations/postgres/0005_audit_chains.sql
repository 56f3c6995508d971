-- Where each writer's chain of audit events ends, so that missing last events show, and where it begins since old ones were deleted.
CREATE TABLE audit_chains (
    writer TEXT PRIMARY KEY NOT NULL,
    sequence BIGINT NOT NULL,
    link TEXT NOT NULL,
    pruned_sequence BIGINT NOT NULL,
    pruned_link TEXT
);
INSERT INTO audit_chains (writer, sequence, link, pruned_sequence, pruned_link)
    SELECT e.writer, e.sequence, e.link, 0, NULL FROM audit_events e
     WHERE e.sequence = (SELECT MAX(l.sequence) FROM audit_events l WHERE l.writer = e.writer);
CREATE INDEX audit_events_at ON audit_events (at, id);
