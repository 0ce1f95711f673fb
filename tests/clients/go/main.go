// Creates, verifies, rotates and revokes keys with the Go client of OpenAPI Generator.
package main

import (
	"context"
	"log"
	"os"

	openapi "keywright.test/openapi"
)

var (
	api           *openapi.APIKeysAPIService
	authenticated context.Context
)

func check(condition bool, message string) {
	if !condition {
		log.Fatal(message)
	}
}

func successful(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func isValid(key *openapi.ApiKeyCreated) bool {
	token := *openapi.NewApiKeyToVerify(key.GetSecret())
	verdict, _, err := api.VerifyApiKey(authenticated).ApiKeyToVerify(token).Execute()
	successful(err)
	if invalid := verdict.ApiKeyNotValid; invalid != nil {
		check(!invalid.Valid && invalid.Code == "REVOKED", string(invalid.Code))
		return false
	}
	check(verdict.ApiKeyValid.Valid && verdict.ApiKeyValid.Id == key.Id, "another key")
	return true
}

func main() {
	configuration := openapi.NewConfiguration()
	configuration.Servers = openapi.ServerConfigurations{{URL: os.Getenv("CLIENTS_URL")}}
	api = openapi.NewAPIClient(configuration).APIKeysAPI
	authenticated = context.WithValue(
		context.Background(), openapi.ContextAccessToken, os.Getenv("CLIENTS_TOKEN"))

	creation := *openapi.NewApiKeyToCreate("Go")
	first, _, err := api.CreateApiKey(authenticated).ApiKeyToCreate(creation).Execute()
	successful(err)
	check(isValid(first), "created")

	// The client sends the body `null`.
	second, _, err := api.RotateApiKey(authenticated, first.Id).Execute()
	successful(err)
	check(isValid(first) && isValid(second), "rotated with an overlap")

	now := "now"
	rotation := *openapi.NewApiKeyRotation()
	rotation.SetExpirePrevious(openapi.StringAsApiKeyRotationExpirePrevious(&now))
	third, _, err := api.RotateApiKey(authenticated, second.Id).ApiKeyRotation(rotation).Execute()
	successful(err)
	check(!isValid(second) && isValid(third), "rotated without an overlap")

	change := *openapi.NewApiKeyChange()
	change.SetAllowedIps([]string{"10.0.0.0/8"})
	changed, _, err := api.UpdateApiKey(authenticated, third.Id).IfMatch("*").ApiKeyChange(change).Execute()
	successful(err)
	check(len(changed.AllowedIps) == 1, "updated")

	own, _, err := api.GetOwnApiKey(authenticated).Execute()
	successful(err)
	check(own.Status == "active", "found itself")

	page, _, err := api.ListApiKeys(authenticated).Limit(1).Execute()
	successful(err)
	check(page.Data[0].Id == third.Id, "listed")

	for _, key := range []*openapi.ApiKeyCreated{first, third} {
		revoked, _, err := api.RevokeApiKey(authenticated, key.Id).Execute()
		successful(err)
		check(revoked.Message == "API key revoked.", revoked.Message)
		check(!isValid(key), "revoked")
	}
}
