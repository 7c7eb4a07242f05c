package httpapi

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
)

// idSize is the length of an id, in bytes: those of transactions and of holds.
const idSize = 32

// pathID reads an id in a path: its 64 hex digits, as people write it, or its base64 with the URL alphabet, padded or not, which
// is what the JSON of an answer has but for two characters. The lengths tell them apart. The result is what the generated routes
// read.
func pathID(text string) (string, error) {
	var id []byte
	var err error
	switch len(text) {
	case hex.EncodedLen(idSize):
		id, err = hex.DecodeString(text)
	case base64.RawURLEncoding.EncodedLen(idSize):
		id, err = base64.RawURLEncoding.Strict().DecodeString(text)
	case base64.URLEncoding.EncodedLen(idSize):
		id, err = base64.URLEncoding.Strict().DecodeString(text)
	}
	if err != nil || len(id) != idSize {
		return "", refuse(http.StatusBadRequest, "ID", "%.80q is no id: want its %d hex digits", text, hex.EncodedLen(idSize))
	}
	return base64.URLEncoding.EncodeToString(id), nil
}
