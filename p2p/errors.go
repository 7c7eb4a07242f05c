package p2p

// ErrorKind tells apart why a membership list or a connection was refused. Kinds work with
// [errors.Is]; the text around them is for people.
type ErrorKind string

// Error makes a kind usable as an error by itself.
func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrNoMembers is returned for an empty membership list.
	ErrNoMembers = ErrorKind("the membership list is empty")
	// ErrTooManyMembers is returned for a list longer than [MaxMembers].
	ErrTooManyMembers = ErrorKind("the membership list is too long")
	// ErrDuplicateMember is returned when two members share an id or a name.
	ErrDuplicateMember = ErrorKind("two members share an id or a name")
	// ErrInvalidMember is returned for a member without a name, with a malformed id
	// or with a malformed address.
	ErrInvalidMember = ErrorKind("invalid member")
	// ErrNotMember is returned for a connection of a node that the list does not name.
	ErrNotMember = ErrorKind("not in the membership list")
)
