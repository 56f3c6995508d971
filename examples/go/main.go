// A Go backend that verifies Countersign's access tokens offline, with the library that Debian packages
// (golang-github-golang-jwt-jwt-dev) and forty lines for the key set.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run main.go
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt"
)

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

var (
	issuer   = env("ISSUER", "http://localhost:4000")
	audience = env("AUDIENCE", issuer)
	jwksURL  = env("JWKS_URL", issuer+"/api/auth/jwks")
)

// keySet caches the JWKS for a while and fetches it again on an unknown kid, but not more than once a cooldown.
type keySet struct {
	sync.Mutex
	keys            map[string]ed25519.PublicKey
	fetched         time.Time
	cache, cooldown time.Duration
}

func (s *keySet) key(kid string) (ed25519.PublicKey, error) {
	s.Lock()
	defer s.Unlock()
	age := time.Since(s.fetched)
	if _, known := s.keys[kid]; age > s.cache || (!known && age > s.cooldown) {
		if err := s.fetch(); err != nil && s.keys == nil {
			return nil, err
		}
	}
	if key, known := s.keys[kid]; known {
		return key, nil
	}
	return nil, errors.New("unknown kid")
}

func (s *keySet) fetch() error {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(jwksURL)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var set struct {
		Keys []struct{ Kid, Kty, Crv, X string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil || answer.StatusCode != 200 {
		return errors.New("no key set")
	}
	keys := map[string]ed25519.PublicKey{}
	for _, key := range set.Keys {
		if x, err := base64.RawURLEncoding.DecodeString(key.X); err == nil && key.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
			keys[key.Kid] = x
		}
	}
	s.keys, s.fetched = keys, time.Now()
	return nil
}

var parser = jwt.Parser{ValidMethods: []string{"EdDSA"}}

func verify(keys *keySet, token string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	parsed, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (interface{}, error) {
		kid, _ := t.Header["kid"].(string)
		return keys.key(kid)
	})
	if err != nil {
		return nil, err
	}
	// RFC 9068: other tokens of the same issuer, signed by the same key, are no access tokens.
	typ, _ := parsed.Header["typ"].(string)
	if typ = strings.ToLower(typ); typ != "at+jwt" && typ != "application/at+jwt" {
		return nil, errors.New("not an access token")
	}
	if !claims.VerifyIssuer(issuer, true) || !claims.VerifyAudience(audience, true) || !claims.VerifyExpiresAt(time.Now().Unix(), true) {
		return nil, errors.New("for another issuer or audience, or without an end")
	}
	return claims, nil
}

func main() {
	cache, err := time.ParseDuration(env("JWKS_CACHE", "300") + "s")
	if err != nil {
		log.Fatal(err)
	}
	keys := &keySet{cache: cache, cooldown: 30 * time.Second}
	http.HandleFunc("/me", func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, err := verify(keys, token)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(401)
			json.NewEncoder(w).Encode(map[string]string{"detail": err.Error()})
			return
		}
		json.NewEncoder(w).Encode(map[string]interface{}{"sub": claims["sub"], "email": claims["email"], "roles": claims["roles"]})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+env("PORT", "8001"), nil))
}
