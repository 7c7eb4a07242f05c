package records

import (
	"fmt"
	"strings"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// maxRead is how many bytes of versions one page reads: content is read even where the answer leaves it out.
const maxRead = 8 << 20

// GetCollection answers the policy in force: BAD_NAME, NOT_FOUND where the org does not exist.
func GetCollection(view exec.View, q *recordsv1.GetCollectionRequest) (*recordsv1.GetCollectionResponse, error) {
	if err := checkCollection(q.Collection); err != nil {
		return nil, err
	}
	policy, err := Read(view).Collection(q.Collection)
	if err != nil {
		return nil, err
	}
	set := policy != nil
	if !set {
		org, _, _ := strings.Cut(q.Collection, "/")
		if err := requireOrg(accounts.Read(view), org); err != nil {
			return nil, err
		}
		policy = defaultPolicy(org, q.Collection)
	}
	return &recordsv1.GetCollectionResponse{Height: view.Height(), Collection: policy, Set: set}, nil
}

// GetRecord answers one version of a record with its content: BAD_NAME, NOT_FOUND.
func GetRecord(view exec.View, q *recordsv1.GetRecordRequest) (*recordsv1.GetRecordResponse, error) {
	newest, err := requireHead(view, q.Record)
	if err != nil {
		return nil, err
	}
	version := q.Version
	if version == 0 {
		version = newest
	}
	if version > newest {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "the record %s has no version %d at height %d: the newest is %d",
			q.Record, version, view.Height(), newest)
	}
	record, err := requireVersion(view, q.Record, version)
	if err != nil {
		return nil, err
	}
	return &recordsv1.GetRecordResponse{Height: view.Height(), Record: record}, nil
}

// ListRecords answers the newest version of each record of a collection by id: BAD_NAME, BAD_FIELD. Content on the ledger
// is left out; a hash of content elsewhere is not. A page may hold fewer records than were asked for and have a next page
// all the same.
func ListRecords(view exec.View, q *recordsv1.ListRecordsRequest) (*recordsv1.ListRecordsResponse, error) {
	if err := checkCollection(q.Collection); err != nil {
		return nil, err
	}
	answer := &recordsv1.ListRecordsResponse{Height: view.Height()}
	prefix := headRange(q.Collection)
	read := 0
	var err error
	answer.NextPage, err = exec.ListSome(view, prefix, q.Page, q.PageSize, func(key, value []byte) (exec.Step, error) {
		newest, err := decodeHead(value)
		if err != nil {
			return exec.Skip, err
		}
		record, err := requireVersion(view, q.Collection+"/"+string(key[len(prefix):]), newest)
		if err != nil {
			return exec.Skip, err
		}
		read += len(record.GetData())
		answer.Records = append(answer.Records, withoutData(record))
		return stepAfter(read), nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// GetHistory answers the versions of a record, oldest first: BAD_NAME, NOT_FOUND, BAD_FIELD. Content is left out as by
// [ListRecords], and pages end early as there.
func GetHistory(view exec.View, q *recordsv1.GetHistoryRequest) (*recordsv1.GetHistoryResponse, error) {
	if _, err := requireHead(view, q.Record); err != nil {
		return nil, err
	}
	answer := &recordsv1.GetHistoryResponse{Height: view.Height()}
	read := 0
	var err error
	prefix := historyRange(q.Record)
	answer.NextPage, err = exec.ListSome(view, prefix, q.Page, q.PageSize, func(_, value []byte) (exec.Step, error) {
		record := new(recordsv1.Record)
		if err := exec.Decode(value, record); err != nil {
			return exec.Skip, err
		}
		read += len(value)
		answer.Records = append(answer.Records, withoutData(record))
		return stepAfter(read), nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func requireHead(view exec.View, record string) (uint64, error) {
	if err := checkRecord(record); err != nil {
		return 0, err
	}
	newest, err := Read(view).Head(record)
	if err == nil && newest == 0 {
		err = tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no record %s at height %d", record, view.Height())
	}
	return newest, err
}

// requireVersion returns a version that the head says exists.
func requireVersion(view exec.View, name string, version uint64) (*recordsv1.Record, error) {
	record, err := Read(view).Version(name, version)
	if err == nil && record == nil {
		err = fmt.Errorf("records: version %d of %s is missing at height %d", version, name, view.Height())
	}
	return record, err
}

// withoutData takes content on the ledger out of a record.
func withoutData(record *recordsv1.Record) *recordsv1.Record {
	if _, data := record.Content.(*recordsv1.Record_Data); data {
		record.Content = nil
	}
	return record
}

func stepAfter(read int) exec.Step {
	if read >= maxRead {
		return exec.TakeLast
	}
	return exec.Take
}
