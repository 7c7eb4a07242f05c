//go:build !amd64 || purego

package keys

const haveLanes = false

// rootsInLanes computes no roots: there are no lanes here.
func rootsInLanes([]fe) (n int) { return 0 }

// laneAdder adds no points.
type laneAdder struct{}

func (*laneAdder) add([]affine, *pairs) bool { return false }
