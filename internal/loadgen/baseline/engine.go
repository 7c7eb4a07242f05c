package main

import (
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/types"

	"github.com/althing-ledger/althing/consensus"
)

// The engine's mempools that can be chosen.
const (
	flood   = config.MempoolTypeFlood
	appPool = config.MempoolTypeApp
)

// poolTxs and poolBytes are how much a node keeps pending at most.
const (
	poolTxs   = 200_000
	poolBytes = 512 << 20
)

// forAll and forClients are parts of that room. The half that clients cannot fill is for what other nodes have taken, which the
// engine would otherwise drop in silence.
const (
	forAll     = 1
	forClients = 2
)

// full says whether so much that is pending leaves no room in a part.
func full(part, txs int, bytes int64) bool {
	return txs >= poolTxs/part || bytes >= poolBytes/int64(part)
}

// maxBlockBytes is the largest block of a network with the default charter: what its transactions may take, and app.BlockOverhead.
const maxBlockBytes = 5 << 20

// maxBatchBytes bounds the messages in which the app mempool gossips, as Althing's own gossip does.
const maxBatchBytes = 256 << 10

// chainID names the network.
const chainID = "baseline"

// engineConfig returns the configuration of the engine's node: Althing's profile where it says something, and otherwise what
// an operator who wants throughput would choose.
func engineConfig(home, listen, peers, mempool string) *config.Config {
	c := config.DefaultConfig().SetRoot(home) // its stores are LevelDB, in home/data
	p := consensus.DefaultProfile()

	c.RPC.ListenAddress = ""
	c.TxIndex.Indexer = "null"
	c.Storage.DiscardABCIResponses = true
	c.Instrumentation.Prometheus = false

	c.P2P.ListenAddress = "tcp://" + listen
	c.P2P.PersistentPeers = peers
	c.P2P.PexReactor = false
	c.P2P.AddrBookStrict = false
	c.P2P.AllowDuplicateIP = true
	c.P2P.SendRate, c.P2P.RecvRate = p.BandwidthBytes, p.BandwidthBytes
	c.P2P.FlushThrottleTimeout = p.FlushThrottle
	c.P2P.MaxPacketMsgPayloadSize = p.PacketBytes

	c.Consensus.TimeoutPropose, c.Consensus.TimeoutProposeDelta = p.TimeoutPropose, p.TimeoutProposeDelta
	c.Consensus.TimeoutPrevote, c.Consensus.TimeoutPrevoteDelta = p.TimeoutVote, p.TimeoutVoteDelta
	c.Consensus.TimeoutPrecommit, c.Consensus.TimeoutPrecommitDelta = p.TimeoutVote, p.TimeoutVoteDelta
	c.Consensus.TimeoutCommit, c.Consensus.SkipTimeoutCommit = p.TimeoutCommit, false
	c.Consensus.PeerGossipSleepDuration = p.PeerGossipSleep
	c.Consensus.BlockTimeTolerance = p.BlockTimeTolerance
	// The app mempool never says that there is something to propose, so that with it the engine would wait for ever.
	c.Consensus.CreateEmptyBlocks, c.Consensus.CreateEmptyBlocksInterval = mempool == appPool, 0

	c.Mempool.Type = mempool
	c.Mempool.Size, c.Mempool.MaxTxsBytes = poolTxs, poolBytes
	c.Mempool.CacheSize = 2 * poolTxs
	c.Mempool.SeenCacheSize = 2 * poolTxs
	c.Mempool.MaxBatchBytes = maxBatchBytes
	c.Mempool.ReapInterval = p.PeerGossipSleep
	c.Mempool.Recheck = false // whatever the state, the store takes what it has taken once
	if mempool == flood {
		c.Mempool.MaxBatchBytes = 0 // it sends each transaction alone
	}
	return c
}

// consensusParams returns what the network agrees on: blocks as large as those of a network with the default charter.
func consensusParams() *types.ConsensusParams {
	params := types.DefaultConsensusParams()
	params.Block.MaxBytes = maxBlockBytes
	params.Block.MaxGas = -1
	return params
}
