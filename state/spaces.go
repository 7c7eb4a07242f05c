package state

// Namespaces of the database: the first byte of every key in Pebble.
// Append-only. Everything below a namespace is written by one owner.
const (
	spaceFormat        byte = 0x00 // the format marker: magic, version
	spaceMeta          byte = 0x01 // head, oldest height, time and root of each retained height
	spaceTree          byte = 0x02 // nodes of the IAVL tree, in the encoding of iavl v1
	spaceFlat          byte = 0x03 // newest value of each tree key, as it is
	spaceLocal         byte = 0x04 // local data, keys as given
	spaceCometBlocks   byte = 0x10 // CometBFT: blocks, parts, commits
	spaceCometState    byte = 0x11 // CometBFT: validators, parameters, last results
	spaceCometEvidence byte = 0x12 // CometBFT: evidence
)

// cometSpace maps the names CometBFT gives its databases to namespaces.
func cometSpace(name string) (byte, bool) {
	switch name {
	case "blockstore":
		return spaceCometBlocks, true
	case "state":
		return spaceCometState, true
	case "evidence":
		return spaceCometEvidence, true
	}
	return 0, false
}
