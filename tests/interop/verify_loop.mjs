// Reads tokens from standard input, verifies each with jose's remote key set and its default cache, and at the end prints the counts.
import { createInterface } from 'node:readline'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [jwks, issuer] = process.argv.slice(2)
const keys = createRemoteJWKSet(new URL(jwks))
let good = 0
let bad = 0
for await (const token of createInterface({ input: process.stdin })) {
  try {
    await jwtVerify(token, keys, { issuer, audience: issuer, algorithms: ['EdDSA'] })
    good += 1
  } catch (error) {
    bad += 1
    console.error(`jose: ${error.code} ${error.message}`)
  }
}
console.log(JSON.stringify({ good, bad }))
