// Four verifiers with libraries of npm. Each run is one of them, for one audience:
//
//     node node.mjs NAME JWKS_URL ISSUER AUDIENCE
//
// It reads tokens from standard input, one a line, and prints a line for each: `taken SUB` or `refused ERROR`. A verifier knows the URL of its
// key set and nothing else of the service; everything that is not said here is the library's own default.
import { createPublicKey } from 'node:crypto'
import { createInterface } from 'node:readline'

const withJose = (algorithm) => async (url, issuer, audience) => {
  const { createRemoteJWKSet, jwtVerify } = await import('jose')
  const keys = createRemoteJWKSet(new URL(url))
  return async (token) => (await jwtVerify(token, keys, { issuer, audience, algorithms: [algorithm] })).payload
}

const withJsonwebtoken = async (url, issuer, audience) => {
  const { default: jwt } = await import('jsonwebtoken')
  const { default: jwksClient } = await import('jwks-rsa')
  const client = jwksClient({ jwksUri: url })
  return (token) =>
    new Promise((resolve, reject) => {
      // jsonwebtoken says the same of every reason why there is no key: the reason is reported in its place.
      let reason
      const key = (header, done) =>
        client.getSigningKey(header.kid, (error, found) => {
          reason = error
          done(error, found?.getPublicKey())
        })
      jwt.verify(token, key, { algorithms: ['RS256'], issuer, audience }, (error, claims) => (error ? reject(reason ?? error) : resolve(claims)))
    })
}

// fast-jwt fetches nothing: the set is fetched once, and again when a token names an unknown kid.
const withFastJwt = async (url, issuer, audience) => {
  const { createVerifier } = await import('fast-jwt')
  const pems = new Map()
  const key = async ({ header }) => {
    if (!pems.has(header.kid)) {
      const { keys } = await (await fetch(url)).json()
      pems.clear()
      for (const jwk of keys) pems.set(jwk.kid, createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }))
    }
    if (!pems.has(header.kid)) throw Object.assign(new Error('unknown kid'), { code: 'UNKNOWN_KID' })
    return pems.get(header.kid)
  }
  const verify = createVerifier({ key, algorithms: ['ES256'], allowedIss: issuer, allowedAud: audience, requiredClaims: ['iss', 'aud', 'exp'] })
  return (token) =>
    verify(token).catch((error) => {
      throw error.code === 'FAST_JWT_KEY_FETCHING_ERROR' ? error.originalError : error
    })
}

const verifiers = {
  'jose-eddsa': withJose('EdDSA'),
  'jose-ed25519': withJose('Ed25519'),
  'jsonwebtoken-rs256': withJsonwebtoken,
  'fast-jwt-es256': withFastJwt,
}

const [name, url, issuer, audience] = process.argv.slice(2)
const verify = await verifiers[name](url, issuer, audience)
for await (const token of createInterface({ input: process.stdin })) {
  try {
    console.log('taken', (await verify(token)).sub)
  } catch (error) {
    console.log('refused', error.code ?? error.name)
  }
}
