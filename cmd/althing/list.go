package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

// largestPage is how many things are asked for at once.
const largestPage = 1000

// paging is what the flags of a command that lists things say.
type paging struct {
	height uint64
	limit  uint64
}

func (p *paging) flags(cmd *cobra.Command) {
	heightFlag(cmd, &p.height)
	cmd.Flags().Uint64Var(&p.limit, "limit", 1000, "list at most so many; 0 for all")
}

func heightFlag(cmd *cobra.Command, height *uint64) {
	cmd.Flags().Uint64Var(height, "height", 0, "the state after this block (default: the newest)")
}

// found is a list as it was at a height.
type found[M proto.Message] struct {
	height uint64
	items  []M
	more   bool // there are more than the limit
}

// collect reads page after page, all of them at the height of the first.
func collect[M proto.Message](p paging, ask func(at uint64, page string, size uint32) (uint64, []M, string, error)) (found[M], error) {
	result := found[M]{height: p.height}
	for page := ""; ; {
		size := uint64(largestPage)
		if p.limit > 0 {
			size = min(size, p.limit-uint64(len(result.items)))
		}
		height, items, next, err := ask(result.height, page, uint32(size))
		if err != nil {
			return result, err
		}
		result.height, result.items, page = height, append(result.items, items...), next
		if page == "" {
			return result, nil
		}
		if p.limit > 0 && uint64(len(result.items)) >= p.limit {
			result.more = true
			return result, nil
		}
	}
}

// showList prints a list under a name, or as a table.
func showList[M proto.Message](ctx context.Context, s *streams, g globals, l *link, name string, f found[M], header string, row func(io.Writer, M)) error {
	items := []object{}
	if g.json {
		for _, item := range f.items {
			items = append(items, l.units.render(ctx, item))
		}
	}
	return s.showItems(g, name, f.height, f.more, items, func(out io.Writer) {
		fmt.Fprintln(out, header)
		for _, item := range f.items {
			row(out, item)
		}
	})
}

// showItems prints what showList prints, of things that are rendered already.
func (s *streams) showItems(g globals, name string, height uint64, more bool, items []object, text func(io.Writer)) error {
	value := object{{"height", height}, {name, items}, {"more", more}}
	if err := s.showProven(g, height, value, text); err != nil {
		return err
	}
	if more {
		s.note(g, "There are more; --limit 0 lists all.")
	}
	return nil
}
