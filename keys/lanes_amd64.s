//go:build !purego

#include "textflag.h"
#include "lanes_amd64.h"

// func mulLanes(f *laneField, z, x, y *[2]lanes)
TEXT ·mulLanes(SB), NOSPLIT, $0-32
	MOVQ f+0(FP), AX
	MOVQ z+8(FP), DI
	MOVQ x+16(FP), SI
	MOVQ y+24(FP), DX
	CONSTANTS(AX)
	LOAD(SI, Z12, Z13, Z14, Z15, Z16)
	MUL(Z12, Z13, Z14, Z15, Z16, 0(DX), 64(DX), 128(DX), 192(DX), 256(DX))
	ADDQ $320, SI
	LOAD(SI, Z12, Z13, Z14, Z15, Z16)
	MOVE(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21)
	MUL(Z12, Z13, Z14, Z15, Z16, 320(DX), 384(DX), 448(DX), 512(DX), 576(DX))
	STORE(Z17, Z18, Z19, Z20, Z21, DI)
	ADDQ $320, DI
	STORE(Z0, Z1, Z2, Z3, Z4, DI)
	VZEROUPPER
	RET

// func squareLanes(f *laneField, z, x *[2]lanes, n int)
TEXT ·squareLanes(SB), NOSPLIT, $0-32
	MOVQ f+0(FP), AX
	MOVQ z+8(FP), DI
	MOVQ x+16(FP), SI
	MOVQ n+24(FP), CX
	CONSTANTS(AX)
	LOAD(SI, Z12, Z13, Z14, Z15, Z16)
	ADDQ $320, SI
	LOAD(SI, Z17, Z18, Z19, Z20, Z21)

	// The processor works on both halves at a time: neither waits for the other.
again:
	SQUARE(Z12, Z13, Z14, Z15, Z16)
	MOVE(Z0, Z1, Z2, Z3, Z4, Z12, Z13, Z14, Z15, Z16)
	SQUARE(Z17, Z18, Z19, Z20, Z21)
	MOVE(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21)
	DECQ CX
	JNZ  again
	STORE(Z12, Z13, Z14, Z15, Z16, DI)
	ADDQ $320, DI
	STORE(Z17, Z18, Z19, Z20, Z21, DI)
	VZEROUPPER
	RET

// 2p and 4p, limb by limb.
DATA lanes2P<>+0(SB)/8, $0x1ffffdfffff85e
DATA lanes2P<>+8(SB)/8, $0x1ffffffffffffe
DATA lanes2P<>+16(SB)/8, $0x1fffffffffffe
GLOBL lanes2P<>(SB), RODATA|NOPTR, $24
DATA lanes4P<>+0(SB)/8, $0x3ffffbfffff0bc
DATA lanes4P<>+8(SB)/8, $0x3ffffffffffffc
DATA lanes4P<>+16(SB)/8, $0x3fffffffffffc
GLOBL lanes4P<>(SB), RODATA|NOPTR, $24

// POINT finds the point of a place: its mark does not survive the shift, a point takes 64 bytes.
#define POINT(i, list, register) \
	MOVL (4*i)(list), register \
	SHLL $6, register

// BOTH loads the x of both points of a pair.
#define BOTH(i, y, z) \
	POINT(i, SI, AX) \
	POINT(i, DX, BX) \
	VMOVDQU64 (DI)(AX*1), y \
	VINSERTI64X4 $1, (DI)(BX*1), z, z

// ROWIN loads a point, and ROWOUT stores one.
#define ROWIN(i, list, z) \
	POINT(i, list, AX) \
	VMOVDQU64 (DI)(AX*1), z

#define ROWOUT(z, i) \
	POINT(i, R13, AX) \
	VMOVDQU64 z, (DI)(AX*1)

// ROWS loads eight points and leaves their coordinates in Z17 to Z24.
#define ROWS(list) \
	ROWIN(0, list, Z0) \
	ROWIN(1, list, Z1) \
	ROWIN(2, list, Z2) \
	ROWIN(3, list, Z3) \
	ROWIN(4, list, Z4) \
	ROWIN(5, list, Z5) \
	ROWIN(6, list, Z6) \
	ROWIN(7, list, Z7) \
	TRANSPOSE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24)

// NEGATE makes 2p - a of the elements whose places are marked. Their limbs stay below those of 2p.
#define NEGATE(list, a0, a1, a2, a3, a4) \
	VMOVDQU32 (list), Y10 \
	VPMOVD2M Y10, K1      \
	VPBROADCASTQ lanes2P<>+0(SB), Z10  \
	VPSUBQ a0, Z10, K1, a0 \
	VPBROADCASTQ lanes2P<>+8(SB), Z10  \
	VPSUBQ a1, Z10, K1, a1 \
	VPSUBQ a2, Z10, K1, a2 \
	VPSUBQ a3, Z10, K1, a3 \
	VPBROADCASTQ lanes2P<>+16(SB), Z10 \
	VPSUBQ a4, Z10, K1, a4

// func denominatorLanes(points *affine, p, q *uint32, blocks int, den, prod, acc *lanes)
TEXT ·denominatorLanes(SB), NOSPLIT, $0-56
	MOVQ points+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ q+16(FP), DX
	MOVQ blocks+24(FP), CX
	MOVQ den+32(FP), R8
	MOVQ prod+40(FP), R9
	MOVQ acc+48(FP), R10
	LEAQ ·secp256k1Lanes(SB), AX
	CONSTANTS(AX)
	LOAD(R10, Z20, Z21, Z22, Z23, Z24)

	// From the last block on.
	IMUL3Q $32, CX, AX
	ADDQ AX, SI
	ADDQ AX, DX
	IMUL3Q $320, CX, AX
	ADDQ AX, R8
	ADDQ AX, R9

block:
	SUBQ $32, SI
	SUBQ $32, DX
	SUBQ $320, R8
	SUBQ $320, R9
	BOTH(0, Y0, Z0)
	BOTH(1, Y1, Z1)
	BOTH(2, Y2, Z2)
	BOTH(3, Y3, Z3)
	BOTH(4, Y4, Z4)
	BOTH(5, Y5, Z5)
	BOTH(6, Y6, Z6)
	BOTH(7, Y7, Z7)
	TRANSPOSE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z12, Z13, Z14, Z15, Z16, Z17, Z18, Z19)
	SPLIT(Z12, Z13, Z14, Z15, Z0, Z1, Z2, Z3, Z4)
	SPLIT(Z16, Z17, Z18, Z19, Z5, Z6, Z7, Z8, Z9)
	PLUS(lanes2P, Z5, Z6, Z7, Z8, Z9, Z12, Z13, Z14, Z15, Z16)
	MINUS(Z0, Z1, Z2, Z3, Z4, Z12, Z13, Z14, Z15, Z16)
	CARRY(Z12, Z13, Z14, Z15, Z16)
	STORE(Z12, Z13, Z14, Z15, Z16, R8)
	STORE(Z20, Z21, Z22, Z23, Z24, R9)
	MUL(Z20, Z21, Z22, Z23, Z24, Z12, Z13, Z14, Z15, Z16)
	MOVE(Z0, Z1, Z2, Z3, Z4, Z20, Z21, Z22, Z23, Z24)
	DECQ CX
	JNZ  block
	STORE(Z20, Z21, Z22, Z23, Z24, R10)
	VZEROUPPER
	RET

// func addLanes(points *affine, p, q, to *uint32, blocks int, den, prod, acc *lanes, scratch *[3]lanes)
TEXT ·addLanes(SB), NOSPLIT, $0-72
	MOVQ points+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ q+16(FP), DX
	MOVQ to+24(FP), R13
	MOVQ blocks+32(FP), CX
	MOVQ den+40(FP), R8
	MOVQ prod+48(FP), R9
	MOVQ acc+56(FP), R10
	MOVQ scratch+64(FP), R11
	LEAQ ·secp256k1Lanes(SB), AX
	CONSTANTS(AX)

block:
	// The inverses of the denominators, in Z12 to Z16.
	LOAD(R10, Z17, Z18, Z19, Z20, Z21)
	MUL(Z17, Z18, Z19, Z20, Z21, 0(R9), 64(R9), 128(R9), 192(R9), 256(R9))
	MOVE(Z0, Z1, Z2, Z3, Z4, Z12, Z13, Z14, Z15, Z16)
	MUL(Z17, Z18, Z19, Z20, Z21, 0(R8), 64(R8), 128(R8), 192(R8), 256(R8))
	STORE(Z0, Z1, Z2, Z3, Z4, R10)

	// x1 and y1, of the first points, to the scratch.
	ROWS(SI)
	SPLIT(Z17, Z18, Z19, Z20, Z0, Z1, Z2, Z3, Z4)
	STORE(Z0, Z1, Z2, Z3, Z4, R11)
	SPLIT(Z21, Z22, Z23, Z24, Z5, Z6, Z7, Z8, Z9)
	NEGATE(SI, Z5, Z6, Z7, Z8, Z9)
	VMOVDQU64 Z5, 320(R11)
	VMOVDQU64 Z6, 384(R11)
	VMOVDQU64 Z7, 448(R11)
	VMOVDQU64 Z8, 512(R11)
	VMOVDQU64 Z9, 576(R11)

	// x1 + x2 to the scratch, y2 - y1 to Z17 to Z21. Either y may be 2p less a coordinate, with limbs up to 2^53, so 4p is added.
	ROWS(DX)
	SPLIT(Z17, Z18, Z19, Z20, Z0, Z1, Z2, Z3, Z4)
	SPLIT(Z21, Z22, Z23, Z24, Z5, Z6, Z7, Z8, Z9)
	NEGATE(DX, Z5, Z6, Z7, Z8, Z9)
	VPADDQ 0(R11), Z0, Z0
	VPADDQ 64(R11), Z1, Z1
	VPADDQ 128(R11), Z2, Z2
	VPADDQ 192(R11), Z3, Z3
	VPADDQ 256(R11), Z4, Z4
	VMOVDQU64 Z0, 640(R11)
	VMOVDQU64 Z1, 704(R11)
	VMOVDQU64 Z2, 768(R11)
	VMOVDQU64 Z3, 832(R11)
	VMOVDQU64 Z4, 896(R11)
	PLUS(lanes4P, Z5, Z6, Z7, Z8, Z9, Z17, Z18, Z19, Z20, Z21)
	MINUS(320(R11), 384(R11), 448(R11), 512(R11), 576(R11), Z17, Z18, Z19, Z20, Z21)
	CARRY(Z17, Z18, Z19, Z20, Z21)

	// The slope, in Z12 to Z16, and its square less x1 + x2, which is x3, in Z17 to Z21. x1 + x2 is below 2p in value, but its lower limbs
	// may reach 2^53, which only those of 4p exceed. The limbs stay below 2^55.
	MUL(Z12, Z13, Z14, Z15, Z16, Z17, Z18, Z19, Z20, Z21)
	MOVE(Z0, Z1, Z2, Z3, Z4, Z12, Z13, Z14, Z15, Z16)
	SQUARE(Z12, Z13, Z14, Z15, Z16)
	PLUS(lanes4P, Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21)
	MINUS(640(R11), 704(R11), 768(R11), 832(R11), 896(R11), Z17, Z18, Z19, Z20, Z21)
	FOLD(Z17, Z18, Z19, Z20, Z21)

	// y3 = (x1 - x3)·slope - y1, in Z0 to Z4.
	LOAD(R11, Z22, Z23, Z24, Z25, Z26)
	PLUS(lanes2P, Z22, Z23, Z24, Z25, Z26, Z22, Z23, Z24, Z25, Z26)
	MINUS(Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26)
	CARRY(Z22, Z23, Z24, Z25, Z26)
	MUL(Z12, Z13, Z14, Z15, Z16, Z22, Z23, Z24, Z25, Z26)
	PLUS(lanes4P, Z0, Z1, Z2, Z3, Z4, Z0, Z1, Z2, Z3, Z4)
	MINUS(320(R11), 384(R11), 448(R11), 512(R11), 576(R11), Z0, Z1, Z2, Z3, Z4)
	FOLD(Z0, Z1, Z2, Z3, Z4)

	FIT(Z0, Z1, Z2, Z3, Z4)
	FIT(Z17, Z18, Z19, Z20, Z21)
	JOIN(Z0, Z1, Z2, Z3, Z4)
	JOIN(Z17, Z18, Z19, Z20, Z21)
	TRANSPOSE(Z17, Z18, Z19, Z20, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z12, Z13)
	ROWOUT(Z4, 0)
	ROWOUT(Z5, 1)
	ROWOUT(Z6, 2)
	ROWOUT(Z7, 3)
	ROWOUT(Z8, 4)
	ROWOUT(Z9, 5)
	ROWOUT(Z12, 6)
	ROWOUT(Z13, 7)

	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, R13
	ADDQ $320, R8
	ADDQ $320, R9
	DECQ CX
	JNZ  block
	VZEROUPPER
	RET
