package client

import "google.golang.org/grpc"

// Conn returns the connection that the generated clients run over, for programs that call methods by name. Unary calls move on
// to another node where one fails, and their answers are verified, as those of the generated clients are.
func (c *Client) Conn() grpc.ClientConnInterface { return c.pool }
