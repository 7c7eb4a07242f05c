//go:build !amd64 || purego

package keys

const haveLanes = false

// rootsInLanes computes no roots: there are no lanes here.
func rootsInLanes([]fe) (n int) { return 0 }

// laneAdder adds no points.
type laneAdder struct{}

func (*laneAdder) add([]affine, *pairs) bool { return false }

// edSummer sums nothing.
type edSummer struct{}

func (*edSummer) decompress([][32]byte, []bool) {}
func (*edSummer) point(int) (p edPoint)         { return p }
func (*edSummer) addPoint(*edPoint) (n int)     { return 0 }
func (*edSummer) reset()                        {}
func (*edSummer) add(int, [4]uint64)            {}
func (*edSummer) addMinusBase([4]uint64)        {}
func (*edSummer) smallOrder() bool              { return false }
