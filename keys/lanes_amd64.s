//go:build !purego

#include "textflag.h"

// Eight elements of the field side by side, one in each 64-bit lane of five registers: limbs of 52 bits, as
// VPMADD52LUQ and VPMADD52HUQ multiply them. lanes_amd64.go says what the limbs may hold; the comments here give the bounds
// in between. Nothing branches on data. No register survives a call, so macros name theirs.
//
// Z28 to Z31 hold constants, Z0 to Z9 sums of products, Z10 and Z11 are for whatever is needed for an instruction or two.

#define BITS52 Z31
#define BITS48 Z30
#define FOLD260 Z29 /* 2^260 modulo p */
#define FOLD256 Z28 /* 2^256 modulo p */

DATA lanesConst<>+0(SB)/8, $0xfffffffffffff
DATA lanesConst<>+8(SB)/8, $0xffffffffffff
DATA lanesConst<>+16(SB)/8, $0x1000003d10
DATA lanesConst<>+24(SB)/8, $0x1000003d1
GLOBL lanesConst<>(SB), RODATA|NOPTR, $32

#define CONSTANTS \
	VPBROADCASTQ lanesConst<>+0(SB), BITS52  \
	VPBROADCASTQ lanesConst<>+8(SB), BITS48  \
	VPBROADCASTQ lanesConst<>+16(SB), FOLD260 \
	VPBROADCASTQ lanesConst<>+24(SB), FOLD256

#define LOAD(p, a0, a1, a2, a3, a4) \
	VMOVDQU64 0(p), a0   \
	VMOVDQU64 64(p), a1  \
	VMOVDQU64 128(p), a2 \
	VMOVDQU64 192(p), a3 \
	VMOVDQU64 256(p), a4

#define STORE(a0, a1, a2, a3, a4, p) \
	VMOVDQU64 a0, 0(p)   \
	VMOVDQU64 a1, 64(p)  \
	VMOVDQU64 a2, 128(p) \
	VMOVDQU64 a3, 192(p) \
	VMOVDQU64 a4, 256(p)

#define MOVE(a0, a1, a2, a3, a4, b0, b1, b2, b3, b4) \
	VMOVDQA64 a0, b0 \
	VMOVDQA64 a1, b1 \
	VMOVDQA64 a2, b2 \
	VMOVDQA64 a3, b3 \
	VMOVDQA64 a4, b4

#define ZERO \
	VPXORQ Z0, Z0, Z0 \
	VPXORQ Z1, Z1, Z1 \
	VPXORQ Z2, Z2, Z2 \
	VPXORQ Z3, Z3, Z3 \
	VPXORQ Z4, Z4, Z4 \
	VPXORQ Z5, Z5, Z5 \
	VPXORQ Z6, Z6, Z6 \
	VPXORQ Z7, Z7, Z7 \
	VPXORQ Z8, Z8, Z8 \
	VPXORQ Z9, Z9, Z9

// ROW adds the product of one limb and an element to the sums from c0 on.
#define ROW(a, b0, b1, b2, b3, b4, c0, c1, c2, c3, c4, c5) \
	VPMADD52LUQ b0, a, c0 \
	VPMADD52LUQ b1, a, c1 \
	VPMADD52LUQ b2, a, c2 \
	VPMADD52LUQ b3, a, c3 \
	VPMADD52LUQ b4, a, c4 \
	VPMADD52HUQ b0, a, c1 \
	VPMADD52HUQ b1, a, c2 \
	VPMADD52HUQ b2, a, c3 \
	VPMADD52HUQ b3, a, c4 \
	VPMADD52HUQ b4, a, c5

// CROSS adds the product of two different limbs of a square, lower half and upper half.
#define CROSS(a, b, c0, c1) \
	VPMADD52LUQ b, a, c0 \
	VPMADD52HUQ b, a, c1

#define TWICE(a) \
	VPADDQ a, a, a

// PASS moves what a has above 52 bits into b, and KEEP does so and clears it in a.
#define PASS(a, b) \
	VPSRLQ $52, a, Z10 \
	VPADDQ Z10, b, b

#define KEEP(a, b) \
	VPSRLQ $52, a, Z10   \
	VPANDQ BITS52, a, a  \
	VPADDQ Z10, b, b

// CARRY brings limbs that are below 2^63 below 2^52, all but the last.
#define CARRY(a0, a1, a2, a3, a4) \
	KEEP(a0, a1) \
	KEEP(a1, a2) \
	KEEP(a2, a3) \
	KEEP(a3, a4)

// REDUCE brings the ten limbs of a product into Z0 to Z4, tight. Each of Z0 to Z8 sums at most nine halves of products, so
// it is below 9·2^52, and Z9 one. The product of two elements is below 2^520. So once the carries of the upper five limbs have
// been passed on, Z9, which nothing is above of, is below 2^52; the others keep their upper bits, which a
// multiplication does not look at. Adding 2^260 mod p, of 37 bits, times the upper half adds at most 2·2^52 to a limb and leaves
// something below 2^37 above the fifth. That, times 16, and what the fifth limb has above 48 bits, which is below 2^8, count
// 2^256, so they are below 2^42 together and their products with 2^256 mod p add below 2^52 to the first limb and 2^23 to the
// second. No limb has reached 2^56, so carries are below 2^4, and the fifth limb ends below 2^48 + 2^4.
#define REDUCE \
	PASS(Z5, Z6) \
	PASS(Z6, Z7) \
	PASS(Z7, Z8) \
	PASS(Z8, Z9) \
	VPXORQ Z11, Z11, Z11       \
	VPMADD52HUQ FOLD260, Z9, Z11 \
	VPMADD52LUQ FOLD260, Z9, Z4 \
	VPMADD52HUQ FOLD260, Z8, Z4 \
	VPMADD52LUQ FOLD260, Z5, Z0 \
	VPMADD52HUQ FOLD260, Z5, Z1 \
	VPMADD52LUQ FOLD260, Z6, Z1 \
	VPMADD52HUQ FOLD260, Z6, Z2 \
	VPMADD52LUQ FOLD260, Z7, Z2 \
	VPMADD52HUQ FOLD260, Z7, Z3 \
	VPMADD52LUQ FOLD260, Z8, Z3 \
	VPSLLQ $4, Z11, Z11        \
	VPSRLQ $48, Z4, Z10        \
	VPADDQ Z10, Z11, Z11       \
	VPANDQ BITS48, Z4, Z4      \
	VPMADD52LUQ FOLD256, Z11, Z0 \
	VPMADD52HUQ FOLD256, Z11, Z1 \
	CARRY(Z0, Z1, Z2, Z3, Z4)

// MUL leaves the product of two elements in Z0 to Z4, tight. The second may be in memory.
#define MUL(a0, a1, a2, a3, a4, b0, b1, b2, b3, b4) \
	ZERO \
	ROW(a0, b0, b1, b2, b3, b4, Z0, Z1, Z2, Z3, Z4, Z5) \
	ROW(a1, b0, b1, b2, b3, b4, Z1, Z2, Z3, Z4, Z5, Z6) \
	ROW(a2, b0, b1, b2, b3, b4, Z2, Z3, Z4, Z5, Z6, Z7) \
	ROW(a3, b0, b1, b2, b3, b4, Z3, Z4, Z5, Z6, Z7, Z8) \
	ROW(a4, b0, b1, b2, b3, b4, Z4, Z5, Z6, Z7, Z8, Z9) \
	REDUCE

// SQUARE leaves the square of an element in Z0 to Z4, tight. The sums before the doubling are below 4·2^52, and the bounds that
// REDUCE needs are those of a product.
#define SQUARE(a0, a1, a2, a3, a4) \
	ZERO \
	CROSS(a0, a1, Z1, Z2) \
	CROSS(a0, a3, Z3, Z4) \
	CROSS(a1, a4, Z5, Z6) \
	CROSS(a3, a4, Z7, Z8) \
	CROSS(a0, a2, Z2, Z3) \
	CROSS(a0, a4, Z4, Z5) \
	CROSS(a2, a4, Z6, Z7) \
	CROSS(a1, a2, Z3, Z4) \
	CROSS(a2, a3, Z5, Z6) \
	CROSS(a1, a3, Z4, Z5) \
	TWICE(Z1) \
	TWICE(Z2) \
	TWICE(Z3) \
	TWICE(Z7) \
	TWICE(Z8) \
	TWICE(Z6) \
	TWICE(Z4) \
	TWICE(Z5) \
	CROSS(a0, a0, Z0, Z1) \
	CROSS(a1, a1, Z2, Z3) \
	CROSS(a2, a2, Z4, Z5) \
	CROSS(a3, a3, Z6, Z7) \
	CROSS(a4, a4, Z8, Z9) \
	REDUCE

// func mulLanes(z, x, y *[2]lanes)
TEXT ·mulLanes(SB), NOSPLIT, $0-24
	MOVQ z+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), DX
	CONSTANTS
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

// func squareLanes(z, x *[2]lanes, n int)
TEXT ·squareLanes(SB), NOSPLIT, $0-24
	MOVQ z+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	CONSTANTS
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

// PLUS sets z = a + c, where c is 2p or 4p.
#define PLUS(c, a0, a1, a2, a3, a4, z0, z1, z2, z3, z4) \
	VPADDQ.BCST c<>+0(SB), a0, z0 \
	VPADDQ.BCST c<>+8(SB), a1, z1 \
	VPADDQ.BCST c<>+8(SB), a2, z2 \
	VPADDQ.BCST c<>+8(SB), a3, z3 \
	VPADDQ.BCST c<>+16(SB), a4, z4

// MINUS subtracts b, which may be in memory, from a.
#define MINUS(b0, b1, b2, b3, b4, a0, a1, a2, a3, a4) \
	VPSUBQ b0, a0, a0 \
	VPSUBQ b1, a1, a1 \
	VPSUBQ b2, a2, a2 \
	VPSUBQ b3, a3, a3 \
	VPSUBQ b4, a4, a4

// FOLD makes an element whose limbs are below 2^55 tight: what the fifth limb has above 48 bits, below 2^7, is worth less than 2^40 in the
// first, and carries are below 2^4.
#define FOLD(a0, a1, a2, a3, a4) \
	VPSRLQ $48, a4, Z10          \
	VPANDQ BITS48, a4, a4        \
	VPMADD52LUQ FOLD256, Z10, a0 \
	CARRY(a0, a1, a2, a3, a4)

// FIT brings a tight element below 2^256. If it was not, less than 2^(208+4) is left of it, to which the fold adds: that cannot
// reach 2^256 again.
#define FIT(a0, a1, a2, a3, a4) FOLD(a0, a1, a2, a3, a4)

// SPLIT makes four limbs of 64 bits five of 52. With its number, VPTERNLOGQ takes (a | b) & c.
#define SPLIT(x0, x1, x2, x3, a0, a1, a2, a3, a4) \
	VPANDQ BITS52, x0, a0  \
	VPSRLQ $52, x0, Z10    \
	VPSLLQ $12, x1, a1     \
	VPTERNLOGQ $0xa8, BITS52, Z10, a1 \
	VPSRLQ $40, x1, Z10    \
	VPSLLQ $24, x2, a2     \
	VPTERNLOGQ $0xa8, BITS52, Z10, a2 \
	VPSRLQ $28, x2, Z10    \
	VPSLLQ $36, x3, a3     \
	VPTERNLOGQ $0xa8, BITS52, Z10, a3 \
	VPSRLQ $16, x3, a4

// JOIN is the reverse of SPLIT, for an element below 2^256, and leaves the limbs in a0 to a3.
#define JOIN(a0, a1, a2, a3, a4) \
	VPSLLQ $52, a1, Z10 \
	VPORQ Z10, a0, a0   \
	VPSRLQ $12, a1, a1  \
	VPSLLQ $40, a2, Z10 \
	VPORQ Z10, a1, a1   \
	VPSRLQ $24, a2, a2  \
	VPSLLQ $28, a3, Z10 \
	VPORQ Z10, a2, a2   \
	VPSRLQ $36, a3, a3  \
	VPSLLQ $16, a4, Z10 \
	VPORQ Z10, a3, a3

// TRANSPOSE makes the eight rows r the columns t, that is, c0 to c7 hold what was in places 0 to 7 of r0 to r7.
#define TRANSPOSE(r0, r1, r2, r3, r4, r5, r6, r7, c0, c1, c2, c3, c4, c5, c6, c7) \
	VPUNPCKLQDQ r1, r0, c0 \
	VPUNPCKHQDQ r1, r0, c1 \
	VPUNPCKLQDQ r3, r2, c2 \
	VPUNPCKHQDQ r3, r2, c3 \
	VPUNPCKLQDQ r5, r4, c4 \
	VPUNPCKHQDQ r5, r4, c5 \
	VPUNPCKLQDQ r7, r6, c6 \
	VPUNPCKHQDQ r7, r6, c7 \
	VSHUFI64X2 $0x88, c2, c0, r0 \
	VSHUFI64X2 $0xdd, c2, c0, r1 \
	VSHUFI64X2 $0x88, c6, c4, r2 \
	VSHUFI64X2 $0xdd, c6, c4, r3 \
	VSHUFI64X2 $0x88, c3, c1, r4 \
	VSHUFI64X2 $0xdd, c3, c1, r5 \
	VSHUFI64X2 $0x88, c7, c5, r6 \
	VSHUFI64X2 $0xdd, c7, c5, r7 \
	VSHUFI64X2 $0x88, r2, r0, c0 \
	VSHUFI64X2 $0xdd, r2, r0, c4 \
	VSHUFI64X2 $0x88, r3, r1, c2 \
	VSHUFI64X2 $0xdd, r3, r1, c6 \
	VSHUFI64X2 $0x88, r6, r4, c1 \
	VSHUFI64X2 $0xdd, r6, r4, c5 \
	VSHUFI64X2 $0x88, r7, r5, c3 \
	VSHUFI64X2 $0xdd, r7, r5, c7

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
	CONSTANTS
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
	CONSTANTS

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
