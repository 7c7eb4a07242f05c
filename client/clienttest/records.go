package clienttest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/names"
)

type recordsService struct {
	recordsv1.UnimplementedRecordsServiceServer
	node *Node
}

func (s *recordsService) GetCollection(_ context.Context, req *recordsv1.GetCollectionRequest) (*recordsv1.GetCollectionResponse, error) {
	state, height := s.node.ledger.at()
	c := state.collections[req.Collection]
	if c != nil {
		return &recordsv1.GetCollectionResponse{Height: height, Collection: c, Set: true}, nil
	}
	org, err := names.Collection(req.Collection)
	if err != nil {
		return nil, notFound("collection", req.Collection)
	}
	c = &recordsv1.Collection{Name: req.Collection, Writers: []*recordsv1.Grant{{Org: org, Role: "writer"}}}
	return &recordsv1.GetCollectionResponse{Height: height, Collection: c}, nil
}

func (s *recordsService) GetRecord(_ context.Context, req *recordsv1.GetRecordRequest) (*recordsv1.GetRecordResponse, error) {
	state, height := s.node.ledger.at()
	versions := state.records[req.Record]
	version := req.Version
	if version == 0 {
		version = uint64(len(versions))
	}
	if version == 0 || version > uint64(len(versions)) {
		return nil, notFound("record", req.Record)
	}
	return &recordsv1.GetRecordResponse{Height: height, Record: versions[version-1]}, nil
}

// withoutData is how lists show a record: content on the ledger is left out.
func withoutData(r *recordsv1.Record) *recordsv1.Record {
	if _, ok := r.Content.(*recordsv1.Record_Data); !ok {
		return r
	}
	return &recordsv1.Record{
		Name: r.Name, Version: r.Version, ContentType: r.ContentType, Writer: r.Writer, Cosigner: r.Cosigner, Height: r.Height,
		TimeUnixNano: r.TimeUnixNano, TxId: r.TxId,
	}
}

func (s *recordsService) ListRecords(_ context.Context, req *recordsv1.ListRecordsRequest) (*recordsv1.ListRecordsResponse, error) {
	state, height := s.node.ledger.at()
	list := slices.DeleteFunc(slices.Collect(maps.Keys(state.records)), func(name string) bool {
		return !strings.HasPrefix(name, req.Collection+"/")
	})
	list, next := page(list, req.Page, req.PageSize)
	resp := &recordsv1.ListRecordsResponse{Height: height, NextPage: next}
	for _, name := range list {
		versions := state.records[name]
		resp.Records = append(resp.Records, withoutData(versions[len(versions)-1]))
	}
	return resp, nil
}

func (s *recordsService) GetHistory(_ context.Context, req *recordsv1.GetHistoryRequest) (*recordsv1.GetHistoryResponse, error) {
	state, height := s.node.ledger.at()
	versions := state.records[req.Record]
	if len(versions) == 0 {
		return nil, notFound("record", req.Record)
	}
	first, _ := strconv.Atoi(req.Page)
	size := int(req.PageSize)
	if size == 0 {
		size = 100
	}
	last := min(first+size, len(versions))
	resp := &recordsv1.GetHistoryResponse{Height: height}
	for _, r := range versions[first:last] {
		resp.Records = append(resp.Records, withoutData(r))
	}
	if last < len(versions) {
		resp.NextPage = strconv.Itoa(last)
	}
	return resp, nil
}
