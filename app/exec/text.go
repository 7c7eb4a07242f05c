package exec

import (
	"unicode/utf8"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// CheckText refuses text that is too long, in bytes, or that shows people something else than what it holds. The characters
// are listed here, because what a library counts as printable changes from one version to the next.
func CheckText(what, text string, most int) error {
	if len(text) > most {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "%s has %d bytes, at most %d are allowed", what, len(text), most)
	}
	if !utf8.ValidString(text) {
		return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "%s is no UTF-8", what)
	}
	for _, r := range text {
		control := r < 0x20 || (r >= 0x7f && r <= 0x9f)
		breaks := r == 0x2028 || r == 0x2029
		turns := r == 0x061c || r == 0x200e || r == 0x200f || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
		if control || breaks || turns {
			return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD,
				"%s holds U+%04X, which does not print or changes the direction of what does", what, r)
		}
	}
	return nil
}
