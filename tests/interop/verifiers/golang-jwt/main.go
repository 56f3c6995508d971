// A verifier with golang-jwt as Debian packages it (golang-github-golang-jwt-jwt-dev), for ES256:
//
//	golang-jwt JWKS_URL ISSUER AUDIENCE
//
// The library fetches nothing: the set is fetched once, and again when a token names an unknown kid. It reads tokens from standard input, one a
// line, and prints a line for each: `taken SUB` or `refused ERROR`.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"
	"time"

	"github.com/golang-jwt/jwt"
)

var errFetch = errors.New("the key set cannot be fetched")

// keySet is the last set that was fetched.
type keySet struct {
	url  string
	keys map[string]*ecdsa.PublicKey
}

func (s *keySet) key(token *jwt.Token) (interface{}, error) {
	kid, _ := token.Header["kid"].(string)
	if _, known := s.keys[kid]; !known {
		if err := s.fetch(); err != nil {
			log.Print(err)
			return nil, errFetch
		}
	}
	if key, known := s.keys[kid]; known {
		return key, nil
	}
	return nil, errors.New("unknown kid")
}

func (s *keySet) fetch() error {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(s.url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var set struct {
		Keys []struct{ Kid, Crv, X, Y string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
		return err
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, key := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(key.X)
		y, errY := base64.RawURLEncoding.DecodeString(key.Y)
		if key.Crv != "P-256" || errX != nil || errY != nil {
			return errors.New("a key that is no P-256 key")
		}
		keys[key.Kid] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
	}
	s.keys = keys
	return nil
}

var parser = jwt.Parser{ValidMethods: []string{"ES256"}}

func verify(keys *keySet, issuer, audience, token string) (string, error) {
	claims := jwt.MapClaims{}
	if _, err := parser.ParseWithClaims(token, claims, keys.key); err != nil {
		return "", err
	}
	if !claims.VerifyIssuer(issuer, true) {
		return "", jwt.ErrTokenInvalidIssuer
	}
	if !claims.VerifyAudience(audience, true) {
		return "", jwt.ErrTokenInvalidAudience
	}
	if !claims.VerifyExpiresAt(time.Now().Unix(), true) {
		return "", jwt.ErrTokenExpired
	}
	sub, _ := claims["sub"].(string)
	return sub, nil
}

// reason returns the name of an error; the first that fits.
func reason(err error) string {
	for _, kind := range []struct {
		name string
		err  error
	}{
		{"FetchError", errFetch},
		{"ErrTokenInvalidIssuer", jwt.ErrTokenInvalidIssuer},
		{"ErrTokenInvalidAudience", jwt.ErrTokenInvalidAudience},
		{"ErrTokenExpired", jwt.ErrTokenExpired},
		{"ErrTokenMalformed", jwt.ErrTokenMalformed},
		{"ErrTokenSignatureInvalid", jwt.ErrTokenSignatureInvalid},
		{"ErrTokenUnverifiable", jwt.ErrTokenUnverifiable},
	} {
		if errors.Is(err, kind.err) {
			return kind.name
		}
	}
	return "ErrTokenInvalidClaims"
}

func main() {
	keys := &keySet{url: os.Args[1]}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		sub, err := verify(keys, os.Args[2], os.Args[3], lines.Text())
		if err != nil {
			fmt.Println("refused", reason(err))
			continue
		}
		fmt.Println("taken", sub)
	}
}
