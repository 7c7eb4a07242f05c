// Package network is the target and the workload of package loadgen for networks of this program: it submits over
// SubmitStream, reads blocks with GetBlock, and makes transfers, deliveries against payment and records of accounts that it
// creates and funds itself.
package network
