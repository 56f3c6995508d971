// A Node backend that verifies Countersign's access tokens offline with `jose`.
//
//   npm install && node server.mjs
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const issuer = process.env.ISSUER ?? 'http://localhost:4000'
const audience = process.env.AUDIENCE ?? issuer
const cacheMaxAge = Number(process.env.JWKS_CACHE ?? 600) * 1000
const keys = createRemoteJWKSet(new URL(process.env.JWKS_URL ?? `${issuer}/api/auth/jwks`), { cacheMaxAge })

const server = createServer(async (request, response) => {
  response.setHeader('content-type', 'application/json')
  try {
    const token = (request.headers.authorization ?? '').replace(/^Bearer /i, '')
    // `typ`: other tokens of the same issuer, signed by the same key, are no access tokens (RFC 9068).
    const pins = { issuer, audience, algorithms: ['EdDSA'], typ: 'at+jwt', requiredClaims: ['exp', 'sub'] }
    const { payload } = await jwtVerify(token, keys, pins)
    response.end(JSON.stringify({ sub: payload.sub, email: payload.email, roles: payload.roles }))
  } catch (error) {
    response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' })
    response.end(JSON.stringify({ detail: error.message }))
  }
})
server.listen(Number(process.env.PORT ?? 8002), '127.0.0.1')
