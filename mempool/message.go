package mempool

import (
	"encoding/binary"
	"fmt"
)

// A gossip message begins with a byte that says what it is. Transactions follow one another, each as its length and its
// bytes; lengths are unsigned varints in their shortest form and not zero. A wish to settle is a time, in nanoseconds
// since 1970, eight bytes, big endian. For a pulse see its type. There is one encoding for a content and one content for an
// encoding.
const (
	kindTransactions = 1
	kindSettle       = 2
	kindPulse        = 3

	settleMessageBytes = 9
	// maxMessageTxs bounds the transactions in a message.
	maxMessageTxs = 4096
	// MaxMessageBytes is the size of the largest message: one transaction of the largest size.
	MaxMessageBytes = 1 + 4 + MaxTxBytes
	// batchBytes is where a message ends if more transactions wait: large enough for hundreds, small enough not to hold up
	// votes on the same connection.
	batchBytes = 256 << 10
)

// sizeInMessage is what a transaction of n bytes adds to a message.
func sizeInMessage(n int) int { return int(SizeInBlock(n)) - 1 }

// encodeMessage returns the message with the given transactions, of which there is at least one.
func encodeMessage(raws [][]byte) []byte {
	size := 1
	for _, raw := range raws {
		size += sizeInMessage(len(raw))
	}
	msg := append(make([]byte, 0, size), kindTransactions)
	for _, raw := range raws {
		msg = binary.AppendUvarint(msg, uint64(len(raw)))
		msg = append(msg, raw...)
	}
	return msg
}

// encodeSettle returns the message that asks for a block whose time is past a time.
func encodeSettle(expiresAt int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kindSettle}, uint64(expiresAt))
}

// decodeSettle returns the time in a message that asks for a block, and false if the message is of another kind.
func decodeSettle(msg []byte) (expiresAt int64, is bool, err error) {
	if len(msg) == 0 || msg[0] != kindSettle {
		return 0, false, nil
	}
	if len(msg) != settleMessageBytes {
		return 0, true, fmt.Errorf("%w: a wish to settle of %d bytes, want %d", ErrMalformedMessage, len(msg), settleMessageBytes)
	}
	if expiresAt = int64(binary.BigEndian.Uint64(msg[1:])); expiresAt <= 0 {
		return 0, true, fmt.Errorf("%w: a wish to settle what expired before 1970", ErrMalformedMessage)
	}
	return expiresAt, true, nil
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
	if msg[0] != kindTransactions {
		return nil, fmt.Errorf("%w: this version knows no messages of kind %d", ErrMalformedMessage, msg[0])
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
