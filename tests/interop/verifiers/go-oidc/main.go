// A verifier with go-oidc as Debian packages it (golang-github-coreos-go-oidc-dev), which is given an issuer and finds the key set by discovery:
//
//	go-oidc JWKS_URL ISSUER AUDIENCE
//
// The first argument is not read. It takes RS256 alone, its default. It reads tokens from standard input, one a line, and prints a line for
// each: `taken SUB` or `refused ERROR`.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/coreos/go-oidc"
)

func main() {
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: os.Args[3]})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		token, err := verifier.Verify(ctx, lines.Text())
		if err != nil {
			log.Print(err)
			fmt.Println("refused", reason(err))
			continue
		}
		fmt.Println("taken", token.Subject)
	}
}

// reason returns the name of an error. The library's errors are sentences without a type: what a test tells apart is whether the key set could
// be fetched.
func reason(err error) string {
	if strings.Contains(err.Error(), "fetching keys") || strings.Contains(err.Error(), "get keys failed") {
		return "FetchError"
	}
	return "OIDCError"
}
