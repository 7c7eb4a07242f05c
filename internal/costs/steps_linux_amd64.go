package costs

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stepped is how many instructions were executed between stepOn and stepOff. The handler of the trap writes it.
var stepped uint64

// stepOn has the processor trap after every instruction of this thread, stepOff no longer. See the trap flag in AMD's Architecture
// Programmer's Manual, volume 2, 13.1.4.
func stepOn()
func stepOff()

// handler returns the addresses of the handler of the trap and of what it returns to.
func handler() (trapped, restore uintptr)

// takeTraps puts the counter where the runtime has its own handler of SIGTRAP.
func takeTraps() error {
	const onStack, restorer = 0x0800_0000, 0x0400_0000 // SA_ONSTACK, and SA_RESTORER, which amd64 requires
	action := struct {
		handler  uintptr
		flags    uint64
		restorer uintptr
		mask     uint64
	}{flags: onStack | restorer, mask: ^uint64(0)}
	action.handler, action.restorer = handler()
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGTRAP), uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
	if errno != 0 {
		return fmt.Errorf("handle SIGTRAP: %w", errno)
	}
	return nil
}

// count returns how many instructions do takes on this thread, and those of its goroutines that run on it: all of them, if no other
// thread runs any.
func count(do func()) uint64 {
	stepped = 0
	stepOn()
	do()
	stepOff()
	return stepped
}
