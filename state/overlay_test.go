package state

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// countingReader is a reader over a map that counts its reads.
type countingReader struct {
	values model
	reads  map[string]int
	fail   error
}

func (r *countingReader) Get(key []byte) ([]byte, error) {
	if r.fail != nil {
		return nil, r.fail
	}
	r.reads[string(key)]++
	if value, ok := r.values[string(key)]; ok {
		return []byte(value), nil
	}
	return nil, nil
}

// TestOverlayNesting compares a stack of overlays with a stack of maps.
func TestOverlayNesting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		values := rapid.SampledFrom([]string{"1", "2"})
		base := &countingReader{values: rapid.MapOf(keys, values).Draw(rt, "base"), reads: map[string]int{}}
		overlays := []*Overlay{NewOverlay(base)}
		models := []model{maps.Clone(base.values)}
		top := func() (*Overlay, model) { return overlays[len(overlays)-1], models[len(models)-1] }
		rt.Repeat(map[string]func(*rapid.T){
			"get": func(rt *rapid.T) {
				o, m := top()
				k := keys.Draw(rt, "key")
				got, err := o.Get([]byte(k))
				if want, ok := m[k]; err != nil || string(got) != want || (got != nil) != ok {
					rt.Fatalf("%q is %q, %v; want %q, %v", k, got, err, want, ok)
				}
			},
			"set": func(rt *rapid.T) {
				o, m := top()
				k, v := keys.Draw(rt, "key"), []byte(values.Draw(rt, "value"))
				o.Set([]byte(k), v)
				m[k] = string(v)
				v[0] = 'x' // the overlay has a copy
			},
			"delete": func(rt *rapid.T) {
				o, m := top()
				k := keys.Draw(rt, "key")
				o.Delete([]byte(k))
				delete(m, k)
			},
			"nest": func(rt *rapid.T) {
				if len(overlays) == 5 {
					rt.Skip()
				}
				o, m := top()
				overlays = append(overlays, NewOverlay(o))
				models = append(models, maps.Clone(m))
			},
			"commit": func(rt *rapid.T) {
				if len(overlays) == 1 {
					rt.Skip()
				}
				o, m := top()
				o.Commit()
				if o.Len() != 0 {
					rt.Fatal("an overlay is empty after Commit")
				}
				models[len(models)-2] = m
				models[len(models)-1] = maps.Clone(m) // and can be used again
			},
			"discard": func(rt *rapid.T) {
				if len(overlays) == 1 {
					rt.Skip()
				}
				o, _ := top()
				o.Discard()
				models[len(models)-1] = maps.Clone(models[len(models)-2])
			},
			"leave": func(rt *rapid.T) {
				if len(overlays) == 1 {
					rt.Skip()
				}
				o, m := top()
				o.Commit()
				overlays, models = overlays[:len(overlays)-1], models[:len(models)-1]
				models[len(models)-1] = m
			},
		})
		for len(overlays) > 1 {
			o, m := top()
			o.Commit()
			overlays, models = overlays[:len(overlays)-1], models[:len(models)-1]
			models[len(models)-1] = m
		}
		checkNet(rt, overlays[0], base, models[0])
	})
}

func checkNet(rt *rapid.T, o *Overlay, base *countingReader, want model) {
	changes, err := o.net()
	if err != nil {
		rt.Fatal(err)
	}
	got := maps.Clone(base.values)
	if got == nil {
		got = model{}
	}
	for i, c := range changes {
		if i > 0 && string(changes[i-1].key) >= string(c.key) {
			rt.Fatalf("changes are not in ascending order: %q, %q", changes[i-1].key, c.key)
		}
		old, existed := got[string(c.key)]
		if existed == c.added || (c.value == nil && !existed) || (c.value != nil && existed && old == string(c.value)) {
			rt.Fatalf("%q: change to %q of %q, added %v, is no net change", c.key, c.value, old, c.added)
		}
		if c.value == nil {
			delete(got, string(c.key))
		} else {
			got[string(c.key)] = string(c.value)
		}
	}
	if !maps.Equal(got, want) {
		rt.Fatalf("net changes lead to %v, want %v", got, want)
	}
	for _, key := range slices.Sorted(maps.Keys(base.reads)) {
		if base.reads[key] > 1 {
			rt.Fatalf("%q was read %d times", key, base.reads[key])
		}
	}
}

func TestOverlayMisuse(t *testing.T) {
	t.Parallel()
	for name, misuse := range map[string]func(*Overlay){
		"empty value":  func(o *Overlay) { o.Set([]byte("k"), nil) },
		"empty key":    func(o *Overlay) { o.Set(nil, []byte("v")) },
		"delete empty": func(o *Overlay) { o.Delete([]byte{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t, testConfig(t.TempDir()))
			defer mustClose(t, s)
			v := s.Latest()
			defer v.Release()
			o := NewOverlay(v)
			tx := NewOverlay(o)
			misuse(tx)
			tx.Discard()
			tx.Commit()
			if o.Err() != nil {
				t.Fatal("a discarded mistake must not count")
			}
			misuse(tx)
			tx.Commit()
			if _, err := s.Stage(1, testTime(1), o, nil); !errors.Is(err, ErrMisuse) || !errors.Is(o.Err(), ErrMisuse) {
				t.Fatalf("stage: %v", err)
			}
			commit(t, s, []write{{[]byte("k"), []byte("v")}}) // the store is intact
		})
	}
}

func TestOverlayReadFailure(t *testing.T) {
	t.Parallel()
	base := &countingReader{fail: errInjected}
	o := NewOverlay(NewOverlay(base))
	if _, err := o.Get([]byte("k")); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	root := NewOverlay(base)
	root.Set([]byte("k"), []byte("v"))
	if _, err := root.net(); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
}
