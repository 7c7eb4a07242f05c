#include "textflag.h"

// func stepOn()
TEXT ·stepOn(SB), NOSPLIT, $8-0
	PUSHFQ
	ORQ $0x100, 0(SP)
	POPFQ
	RET

// func stepOff()
TEXT ·stepOff(SB), NOSPLIT, $8-0
	PUSHFQ
	ANDQ $~0x100, 0(SP)
	POPFQ
	RET

// trapped is the handler of SIGTRAP. The kernel calls it on the signal stack of the thread; it knows nothing of Go.
TEXT trapped<>(SB), NOSPLIT|NOFRAME, $0
	INCQ ·stepped(SB)
	RET

// restore is where trapped returns to: it makes the call rt_sigreturn.
TEXT restore<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX
	SYSCALL
	INT $3

// func handler() (trapped, restore uintptr)
TEXT ·handler(SB), NOSPLIT, $0-16
	LEAQ trapped<>(SB), AX
	MOVQ AX, trapped+0(FP)
	LEAQ restore<>(SB), AX
	MOVQ AX, restore+8(FP)
	RET
