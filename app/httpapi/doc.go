// Package httpapi serves the API over HTTP, as JSON, for people without gRPC: every method but SubmitStream, at the paths of
// proto/http.yaml. It translates and never decides: a request becomes a call of the node's own gRPC server, over a connection
// in memory, in the name of the client who sent it. So rates, tokens, shares and errors are the same, and nothing that a
// client writes into a header changes who it is.
//
// A [Server] is made by [New] and serves while [Server.Run] runs. Connections, headers, bodies, requests under way and
// every wait are bounded; DESIGN.md has the numbers.
//
// server.go is the way of a request; routes.go puts the routes together and refuses what they do not know; ids.go reads ids
// in paths; answer.go and cache.go say how long an answer holds; failure.go is the one place where gRPC codes become those of
// HTTP; watch.go is Server-Sent Events; browser.go is what keeps strangers' web pages out.
//
// Handlers run on the goroutines of their requests. Nothing is shared between them but what [New] made, which is not changed.
package httpapi
