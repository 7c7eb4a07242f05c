package mempool

import (
	"encoding/binary"
	"fmt"
)

// A gossip message is a version byte and then transactions, each as its length and its bytes. Lengths are unsigned
// varints in their shortest form and not zero. There is one encoding for a list of transactions and one list for an
// encoding.
const (
	messageVersion = 1
	// maxMessageTxs bounds the transactions in a message.
	maxMessageTxs = 4096
	// MaxMessageBytes is the size of the largest message: one transaction of the largest size.
	MaxMessageBytes = 1 + 4 + MaxTxBytes
	// batchBytes is where a message ends if more transactions wait: large enough for hundreds, small enough not to hold up
	// votes on the same connection.
	batchBytes = 256 << 10
)

// sizeInMessage is what a transaction of n bytes adds to a message.
func sizeInMessage(n int) int { return int(sizeInBlock(n)) - 1 }

// encodeMessage returns the message with the given transactions, of which there is at least one.
func encodeMessage(raws [][]byte) []byte {
	size := 1
	for _, raw := range raws {
		size += sizeInMessage(len(raw))
	}
	msg := append(make([]byte, 0, size), messageVersion)
	for _, raw := range raws {
		msg = binary.AppendUvarint(msg, uint64(len(raw)))
		msg = append(msg, raw...)
	}
	return msg
}

// decodeMessage returns the transactions in a message, which share its memory, or [ErrMalformedMessage]. It looks at
// lengths only.
func decodeMessage(msg []byte) ([][]byte, error) {
	if len(msg) > MaxMessageBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformedMessage, len(msg), MaxMessageBytes)
	}
	if len(msg) < 2 {
		return nil, fmt.Errorf("%w: no transaction in it", ErrMalformedMessage)
	}
	if msg[0] != messageVersion {
		return nil, fmt.Errorf("%w: version %d, this node speaks %d", ErrMalformedMessage, msg[0], messageVersion)
	}
	var raws [][]byte
	for rest := msg[1:]; len(rest) > 0; {
		if len(raws) == maxMessageTxs {
			return nil, fmt.Errorf("%w: more than %d transactions", ErrMalformedMessage, maxMessageTxs)
		}
		n, head := binary.Uvarint(rest)
		switch {
		case head <= 0:
			return nil, fmt.Errorf("%w: a length is cut off or too long", ErrMalformedMessage)
		case n == 0 || n > MaxTxBytes || head > 1 && rest[head-1] == 0:
			return nil, fmt.Errorf("%w: a length is zero, too large or not in its shortest form", ErrMalformedMessage)
		case n > uint64(len(rest)-head):
			return nil, fmt.Errorf("%w: a transaction is cut off", ErrMalformedMessage)
		}
		end := head + int(n)
		raws = append(raws, rest[head:end:end])
		rest = rest[end:]
	}
	return raws, nil
}
