// Package proto holds the contract: the schema, what is generated from it, and how it is read over HTTP. DESIGN.md argues it.
package proto

import _ "embed"

// OpenAPI is the document of the API over HTTP, OpenAPI 2.0 as JSON: generated from the schema, http.yaml and openapi.yaml.
//
//go:embed gen/openapi/althing.swagger.json
var OpenAPI string
