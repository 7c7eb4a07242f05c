package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// maxContent is the length in bytes of the longest content that the ledger keeps itself.
const maxContent = 64 << 10

func newRecordCommand(s *streams) *cobra.Command {
	return noun("record", "Versioned documents",
		newRecordPutCommand(s), newRecordGetCommand(s), newRecordHistoryCommand(s), newRecordListCommand(s))
}

func newRecordPutCommand(s *streams) *cobra.Command {
	var file, contentType, cosigner string
	var expect uint64
	var hashOnly bool
	cmd := &cobra.Command{
		Use:   "put ORG/COLLECTION/ID --file FILE",
		Short: "Write the next version of a record",
		Long: `Write the next version of a record: its content, or with --hash-only the SHA-256 and the length of a
file of any size, which stays where it is. With --receipt the proof that this is on the ledger is
written to a file, too; ` + "`althing verify RECEIPT --file FILE`" + ` checks both, without any network.`,
		Example: `  althing record put acme/invoices/1 --file invoice.pdf --content-type application/pdf --as acme/admin
  althing record put acme/invoices/1 --file invoice.pdf --content-type application/pdf --expect-version 1 --as acme/admin
  althing record put acme/films/1 --file film.mp4 --content-type video/mp4 --hash-only --as acme/admin
  althing record put acme/notary/contract --file contract.pdf --hash-only --receipt contract.receipt --as acme/alice`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "file", "", "`FILE` with the content, - for standard input")
	flags.StringVar(&contentType, "content-type", "application/octet-stream", "media `TYPE` of the content")
	flags.Uint64Var(&expect, "expect-version", 0, "write only if this is the newest `VERSION`, 0 if there must be none (default: whatever it is)")
	flags.BoolVar(&hashOnly, "hash-only", false, "write the content's SHA-256 and length, and keep the content elsewhere")
	flags.StringVar(&cosigner, "cosigner", "", "`ORG/NAME` of a second writer; it signs too, with a further --as")
	cmd, w := s.writerOf(cmd, func(_ context.Context, _ *link, args []string) ([]*ledgerv1.Operation, error) {
		if _, _, err := names.Record(args[0]); err != nil {
			return nil, err
		}
		op := &recordsv1.Put{Record: args[0], ContentType: contentType, Cosigner: cosigner}
		if flags.Changed("expect-version") {
			op.ExpectVersion = &expect
		}
		if cosigner != "" {
			if _, err := names.Account(cosigner); err != nil {
				return nil, usagef("--cosigner: %w", err)
			}
		}
		if err := s.readContent(file, hashOnly, op); err != nil {
			return nil, err
		}
		return []*ledgerv1.Operation{{Kind: &ledgerv1.Operation_RecordPut{RecordPut: op}}}, nil
	})
	flags.StringVar(&w.receipt, "receipt", "", "also write the receipt of the transaction to this `FILE`")
	return cmd
}

// readContent puts the content of a file, or its hash, into an operation.
func (s *streams) readContent(file string, hashOnly bool, op *recordsv1.Put) error {
	if file == "" {
		return usagef("--file is missing: name the content, or - for standard input")
	}
	in, err := s.open(file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if hashOnly {
		hash, err := hashContent(in)
		if err != nil {
			return badPath(file, err)
		}
		op.Content = &recordsv1.Put_Hash{Hash: hash}
		return nil
	}
	var data bytes.Buffer
	if _, err := io.Copy(&data, io.LimitReader(in, maxContent+1)); err != nil {
		return badPath(file, err)
	}
	if data.Len() > maxContent {
		return hint(usagef("%s has more than %d bytes", file, maxContent), "keep it elsewhere and write its hash, with --hash-only")
	}
	op.Content = &recordsv1.Put_Data{Data: data.Bytes()}
	return nil
}

func newRecordGetCommand(s *streams) *cobra.Command {
	var height, version uint64
	var file string
	var cmd *cobra.Command
	cmd = &cobra.Command{
		Use:   "get ORG/COLLECTION/ID",
		Short: "Write the content of a record to standard output or a file",
		Long: `Write the content of a record, exactly as it was put, to standard output or to --out FILE. With
--output json a description of the record goes to standard output; its content is in it, as base64,
unless --out takes it.`,
		Example: `  althing record get acme/invoices/1
  althing record get acme/invoices/1 --version 1 -o invoice.pdf
  althing record get acme/invoices/1 --output json`,
		Args: cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if _, _, err := names.Record(args[0]); err != nil {
				return err
			}
			if version == 0 && cmd.Flags().Changed("version") {
				return usagef("--version 0 is none: the first version is 1")
			}
			resp, err := l.Records().GetRecord(ctx, &recordsv1.GetRecordRequest{Record: args[0], Version: version, Height: height})
			if err != nil {
				return err
			}
			return s.showContent(g, resp, file)
		}),
	}
	heightFlag(cmd, &height)
	cmd.Flags().Uint64Var(&version, "version", 0, "this `VERSION` (default: the newest)")
	cmd.Flags().StringVarP(&file, "out", "o", "", "write the content to this `FILE`")
	return cmd
}

// showContent writes a record's content to a file or, alone, to standard output.
func (s *streams) showContent(g globals, resp *recordsv1.GetRecordResponse, file string) error {
	r := resp.GetRecord()
	hash := r.GetHash()
	if hash != nil && (file != "" || !g.json) {
		return hint(fmt.Errorf("%s keeps its content elsewhere: %s with SHA-256 %x", r.GetName(), plural(hash.Size, "byte"), hash.Sha256),
			"--output json describes the record")
	}
	if file != "" {
		if err := replaceFile(file, r.GetData()); err != nil {
			return badPath(file, err)
		}
	}
	if !g.json {
		if file != "" {
			return nil
		}
		if _, err := s.out.Write(r.GetData()); err != nil {
			return err
		}
		s.noteProof(g, resp.Height)
		return nil
	}
	value := describeRecord(r)
	if hash == nil && file == "" {
		value = append(value, field{"data", base64.StdEncoding.EncodeToString(r.GetData())})
	}
	return s.showJSON(marked{append(value, field{"at_height", resp.Height}), !g.unverified}, "  ")
}

// describeRecord returns what is known of a record without its content. The content's hash is known where the ledger keeps
// only that, and where the content is at hand; lists leave content out.
func describeRecord(r *recordsv1.Record) object {
	value := object{
		{"name", r.GetName()}, {"version", r.GetVersion()}, {"content_type", r.GetContentType()}, {"hash_only", r.GetHash() != nil},
	}
	switch content := r.GetContent().(type) {
	case *recordsv1.Record_Hash:
		value = append(value, field{"sha256", fmt.Sprintf("%x", content.Hash.GetSha256())}, field{"size", content.Hash.GetSize()})
	case *recordsv1.Record_Data:
		value = append(value, field{"sha256", fmt.Sprintf("%x", sha256.Sum256(content.Data))}, field{"size", len(content.Data)})
	}
	return append(value,
		field{"writer", r.GetWriter()}, field{"cosigner", r.GetCosigner()}, field{"height", r.GetHeight()},
		field{"time", time.Unix(0, r.GetTimeUnixNano()).UTC().Format(timeFormat)}, field{"tx_id", fmt.Sprintf("%x", r.GetTxId())})
}

func newRecordHistoryCommand(s *streams) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use:     "history ORG/COLLECTION/ID",
		Short:   "List the versions of a record, oldest first",
		Example: "  althing record history acme/invoices/1",
		Args:    cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if _, _, err := names.Record(args[0]); err != nil {
				return err
			}
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*recordsv1.Record, string, error) {
				resp, err := l.Records().GetHistory(ctx, &recordsv1.GetHistoryRequest{Height: at, Page: page, PageSize: size, Record: args[0]})
				return resp.GetHeight(), resp.GetRecords(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			return s.showRecords(g, "versions", found)
		}),
	}
	p.flags(cmd)
	return cmd
}

func newRecordListCommand(s *streams) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use:     "list ORG/COLLECTION",
		Short:   "List the records of a collection",
		Example: "  althing record list acme/invoices",
		Args:    cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if _, err := names.Collection(args[0]); err != nil {
				return err
			}
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*recordsv1.Record, string, error) {
				resp, err := l.Records().ListRecords(ctx, &recordsv1.ListRecordsRequest{Height: at, Page: page, PageSize: size, Collection: args[0]})
				return resp.GetHeight(), resp.GetRecords(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			return s.showRecords(g, "records", found)
		}),
	}
	p.flags(cmd)
	return cmd
}

// showRecords prints records without their content.
func (s *streams) showRecords(g globals, name string, f found[*recordsv1.Record]) error {
	items := []object{}
	for _, r := range f.items {
		items = append(items, describeRecord(r))
	}
	return s.showItems(g, name, f.height, f.more, items, func(out io.Writer) {
		fmt.Fprintln(out, "RECORD\tVERSION\tTYPE\tWRITER\tHEIGHT\tTIME")
		for _, r := range f.items {
			fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%d\t%s\n", r.Name, r.Version, r.ContentType, r.Writer, r.Height,
				time.Unix(0, r.TimeUnixNano).UTC().Format(time.RFC3339))
		}
	})
}
