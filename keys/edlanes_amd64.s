//go:build !purego

#include "textflag.h"
#include "lanes_amd64.h"

// Points of Ed25519's curve in eight lanes. Additions are the complete ones of Hisil, Wong, Carter and Dawson for a = -1: they have no exceptions, so
// nothing is compared. Wherever a macro says p it is 2^256 - 38 here, twice the prime.
//
// R11 is the edScratch in all functions. Its parts:

#define PX 0
#define PY 320
#define PZ 640
#define PT 960
#define QX 1280
#define QY 1600
#define QZ 1920
#define QT 2240
#define TEMP 2560
#define TWOD 2880
#define SUM 3200

// 2p, limb by limb.
DATA ed2P<>+0(SB)/8, $0x1fffffffffffb4
DATA ed2P<>+8(SB)/8, $0x1ffffffffffffe
DATA ed2P<>+16(SB)/8, $0x1fffffffffffe
GLOBL ed2P<>(SB), RODATA|NOPTR, $24

// TAKE loads an element of the scratch, and PUT stores one.
#define TAKE(o, a0, a1, a2, a3, a4) \
	VMOVDQU64 (o)(R11), a0     \
	VMOVDQU64 (o+64)(R11), a1  \
	VMOVDQU64 (o+128)(R11), a2 \
	VMOVDQU64 (o+192)(R11), a3 \
	VMOVDQU64 (o+256)(R11), a4

#define PUT(a0, a1, a2, a3, a4, o) \
	VMOVDQU64 a0, (o)(R11)     \
	VMOVDQU64 a1, (o+64)(R11)  \
	VMOVDQU64 a2, (o+128)(R11) \
	VMOVDQU64 a3, (o+192)(R11) \
	VMOVDQU64 a4, (o+256)(R11)

// TIMES multiplies by an element of the scratch.
#define TIMES(o, a0, a1, a2, a3, a4) \
	MUL(a0, a1, a2, a3, a4, (o)(R11), (o+64)(R11), (o+128)(R11), (o+192)(R11), (o+256)(R11))

// ADD sets z = a + b, and SUB sets z = a - b. The elements are tight, or limbs below 2^53 with those of b tight; what comes out has its carries
// passed on and is below 2^259.
#define ADD(a0, a1, a2, a3, a4, b0, b1, b2, b3, b4, z0, z1, z2, z3, z4) \
	VPADDQ b0, a0, z0 \
	VPADDQ b1, a1, z1 \
	VPADDQ b2, a2, z2 \
	VPADDQ b3, a3, z3 \
	VPADDQ b4, a4, z4 \
	CARRY(z0, z1, z2, z3, z4)

#define SUB(a0, a1, a2, a3, a4, b0, b1, b2, b3, b4, z0, z1, z2, z3, z4) \
	PLUS(ed2P, a0, a1, a2, a3, a4, z0, z1, z2, z3, z4) \
	MINUS(b0, b1, b2, b3, b4, z0, z1, z2, z3, z4) \
	CARRY(z0, z1, z2, z3, z4)

// PLUSAT leaves the sum of two elements of the scratch, and LESSAT the difference, in a.
#define PLUSAT(x, y, a0, a1, a2, a3, a4) \
	TAKE(x, a0, a1, a2, a3, a4) \
	ADD(a0, a1, a2, a3, a4, (y)(R11), (y+64)(R11), (y+128)(R11), (y+192)(R11), (y+256)(R11), a0, a1, a2, a3, a4)

#define LESSAT(x, y, a0, a1, a2, a3, a4) \
	TAKE(x, a0, a1, a2, a3, a4) \
	SUB(a0, a1, a2, a3, a4, (y)(R11), (y+64)(R11), (y+128)(R11), (y+192)(R11), (y+256)(R11), a0, a1, a2, a3, a4)

#define DOUBLED \
	TWICE(Z0) \
	TWICE(Z1) \
	TWICE(Z2) \
	TWICE(Z3) \
	TWICE(Z4)

// ENTRY loads half of a point of the list: eight words, of which POINT finds the first. A mark does not survive the shift.
#define ENTRY(i, half, z) \
	MOVL (4*i)(SI), AX \
	SHLL $7, AX \
	VMOVDQU64 (half)(DI)(AX*1), z

#define ENTRIES(half) \
	ENTRY(0, half, Z0) \
	ENTRY(1, half, Z1) \
	ENTRY(2, half, Z2) \
	ENTRY(3, half, Z3) \
	ENTRY(4, half, Z4) \
	ENTRY(5, half, Z5) \
	ENTRY(6, half, Z6) \
	ENTRY(7, half, Z7)

// CHOOSE stores b of the marked points and a of the others.
#define CHOOSE(b, a, o) \
	VPBLENDMQ b, a, K1, Z10 \
	VMOVDQU64 Z10, (o)(R11)

// POINTS brings eight points y + x, y - x, 2dxy to QX, QY, QZ. To negate the marked ones exchanges the first two and negates the third, whose limbs
// then are below those of 2p.
#define POINTS \
	ENTRIES(0) \
	TRANSPOSE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24) \
	ENTRIES(64) \
	TRANSPOSE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z12, Z13, Z14, Z15, Z16, Z25, Z26, Z27) \
	VMOVDQU32 (SI), Y10       \
	VPMOVD2M Y10, K1          \
	CHOOSE(Z22, Z17, QX)      \
	CHOOSE(Z23, Z18, QX+64)   \
	CHOOSE(Z24, Z19, QX+128)  \
	CHOOSE(Z12, Z20, QX+192)  \
	CHOOSE(Z13, Z21, QX+256)  \
	CHOOSE(Z17, Z22, QY)      \
	CHOOSE(Z18, Z23, QY+64)   \
	CHOOSE(Z19, Z24, QY+128)  \
	CHOOSE(Z20, Z12, QY+192)  \
	CHOOSE(Z21, Z13, QY+256)  \
	VPBROADCASTQ ed2P<>+0(SB), Z10  \
	VPSUBQ Z14, Z10, K1, Z14        \
	VPBROADCASTQ ed2P<>+8(SB), Z10  \
	VPSUBQ Z15, Z10, K1, Z15        \
	VPSUBQ Z16, Z10, K1, Z16        \
	VPSUBQ Z25, Z10, K1, Z25        \
	VPBROADCASTQ ed2P<>+16(SB), Z10 \
	VPSUBQ Z26, Z10, K1, Z26        \
	CARRY(Z14, Z15, Z16, Z25, Z26)  \
	PUT(Z14, Z15, Z16, Z25, Z26, QZ)

// func bucketLanes(points *edPoint, refs, steps, to *uint32, groups int, sums *edSum, s *edScratch)
TEXT ·bucketLanes(SB), NOSPLIT, $0-56
	MOVQ points+0(FP), DI
	MOVQ refs+8(FP), SI
	MOVQ steps+16(FP), R8
	MOVQ to+24(FP), R9
	MOVQ groups+32(FP), CX
	MOVQ sums+40(FP), R10
	MOVQ s+48(FP), R11
	LEAQ ·ed25519Lanes(SB), AX
	CONSTANTS(AX)

group:
	MOVL (R8), BX
	ADDQ $4, R8

	// The first points are the sums so far: with u = y + x and v = y - x that is (2(u - v) : 2(u + v) : 4 : (u - v)(u + v)).
	POINTS
	ADDQ $32, SI
	LESSAT(QX, QY, Z12, Z13, Z14, Z15, Z16)
	PLUSAT(QX, QY, Z17, Z18, Z19, Z20, Z21)
	MUL(Z12, Z13, Z14, Z15, Z16, Z17, Z18, Z19, Z20, Z21)
	PUT(Z0, Z1, Z2, Z3, Z4, PT)
	ADD(Z12, Z13, Z14, Z15, Z16, Z12, Z13, Z14, Z15, Z16, Z0, Z1, Z2, Z3, Z4)
	FOLD(Z0, Z1, Z2, Z3, Z4)
	PUT(Z0, Z1, Z2, Z3, Z4, PX)
	ADD(Z17, Z18, Z19, Z20, Z21, Z17, Z18, Z19, Z20, Z21, Z0, Z1, Z2, Z3, Z4)
	FOLD(Z0, Z1, Z2, Z3, Z4)
	PUT(Z0, Z1, Z2, Z3, Z4, PY)
	VPXORQ Z0, Z0, Z0
	VPTERNLOGQ $0xff, Z1, Z1, Z1
	VPSUBQ Z1, Z0, Z1
	VPSLLQ $2, Z1, Z1
	PUT(Z1, Z0, Z0, Z0, Z0, PZ)
	DECQ BX
	JZ   done

step:
	POINTS
	ADDQ $32, SI

	// A = (Y - X)·(y - x), B = (Y + X)·(y + x), H = B + A, E = B - A.
	LESSAT(PY, PX, Z12, Z13, Z14, Z15, Z16)
	TIMES(QY, Z12, Z13, Z14, Z15, Z16)
	MOVE(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21)
	PLUSAT(PY, PX, Z12, Z13, Z14, Z15, Z16)
	TIMES(QX, Z12, Z13, Z14, Z15, Z16)
	ADD(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21, Z12, Z13, Z14, Z15, Z16)
	SUB(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26)

	// C = T·2dxy, D = 2Z, G = D + C, F = D - C.
	TAKE(PT, Z17, Z18, Z19, Z20, Z21)
	TIMES(QZ, Z17, Z18, Z19, Z20, Z21)
	TAKE(PZ, Z17, Z18, Z19, Z20, Z21)
	TWICE(Z17)
	TWICE(Z18)
	TWICE(Z19)
	TWICE(Z20)
	TWICE(Z21)
	ADD(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21, Z5, Z6, Z7, Z8, Z9)
	PUT(Z5, Z6, Z7, Z8, Z9, TEMP)
	SUB(Z17, Z18, Z19, Z20, Z21, Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21)

	// X = E·F, Y = G·H, Z = F·G, T = E·H.
	MUL(Z22, Z23, Z24, Z25, Z26, Z17, Z18, Z19, Z20, Z21)
	PUT(Z0, Z1, Z2, Z3, Z4, PX)
	MUL(Z22, Z23, Z24, Z25, Z26, Z12, Z13, Z14, Z15, Z16)
	PUT(Z0, Z1, Z2, Z3, Z4, PT)
	TIMES(TEMP, Z12, Z13, Z14, Z15, Z16)
	PUT(Z0, Z1, Z2, Z3, Z4, PY)
	TIMES(TEMP, Z17, Z18, Z19, Z20, Z21)
	PUT(Z0, Z1, Z2, Z3, Z4, PZ)
	DECQ BX
	JNZ  step

done:
#define SUMOUT(i, third, z) \
	MOVL (4*i)(R9), AX \
	IMUL3Q $192, AX, AX \
	VMOVDQU64 z, (third)(R10)(AX*1)

// SUMSOUT stores eight limbs of the eight sums.
#define SUMSOUT(o, third) \
	VMOVDQU64 (o)(R11), Z0     \
	VMOVDQU64 (o+64)(R11), Z1  \
	VMOVDQU64 (o+128)(R11), Z2 \
	VMOVDQU64 (o+192)(R11), Z3 \
	VMOVDQU64 (o+256)(R11), Z4 \
	VMOVDQU64 (o+320)(R11), Z5 \
	VMOVDQU64 (o+384)(R11), Z6 \
	VMOVDQU64 (o+448)(R11), Z7 \
	TRANSPOSE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24) \
	SUMOUT(0, third, Z17) \
	SUMOUT(1, third, Z18) \
	SUMOUT(2, third, Z19) \
	SUMOUT(3, third, Z20) \
	SUMOUT(4, third, Z21) \
	SUMOUT(5, third, Z22) \
	SUMOUT(6, third, Z23) \
	SUMOUT(7, third, Z24)

	// The last four of the 24 limbs are nobody's.
	SUMSOUT(0, 0)
	SUMSOUT(512, 64)
	SUMSOUT(1024, 128)
	ADDQ $32, R9
	DECQ CX
	JNZ  group
	VZEROUPPER
	RET

// ADDTO adds the point whose coordinates begin at q to the one at p.
#define ADDTO(p, q) \
	LESSAT(p+320, p, Z12, Z13, Z14, Z15, Z16) \
	LESSAT(q+320, q, Z17, Z18, Z19, Z20, Z21) \
	MUL(Z12, Z13, Z14, Z15, Z16, Z17, Z18, Z19, Z20, Z21) \
	MOVE(Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26) \
	PLUSAT(p+320, p, Z12, Z13, Z14, Z15, Z16) \
	PLUSAT(q+320, q, Z17, Z18, Z19, Z20, Z21) \
	MUL(Z12, Z13, Z14, Z15, Z16, Z17, Z18, Z19, Z20, Z21) \
	ADD(Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26, Z12, Z13, Z14, Z15, Z16) \
	SUB(Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26, Z17, Z18, Z19, Z20, Z21) \
	PUT(Z17, Z18, Z19, Z20, Z21, TEMP) \
	TAKE(p+960, Z22, Z23, Z24, Z25, Z26) \
	TIMES(q+960, Z22, Z23, Z24, Z25, Z26) \
	MOVE(Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26) \
	TIMES(TWOD, Z22, Z23, Z24, Z25, Z26) \
	MOVE(Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26) \
	TAKE(p+640, Z17, Z18, Z19, Z20, Z21) \
	TIMES(q+640, Z17, Z18, Z19, Z20, Z21) \
	DOUBLED \
	SUB(Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26, Z17, Z18, Z19, Z20, Z21) \
	ADD(Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26, Z22, Z23, Z24, Z25, Z26) \
	TIMES(TEMP, Z17, Z18, Z19, Z20, Z21) \
	PUT(Z0, Z1, Z2, Z3, Z4, p) \
	TIMES(TEMP, Z12, Z13, Z14, Z15, Z16) \
	PUT(Z0, Z1, Z2, Z3, Z4, p+960) \
	MUL(Z12, Z13, Z14, Z15, Z16, Z22, Z23, Z24, Z25, Z26) \
	PUT(Z0, Z1, Z2, Z3, Z4, p+320) \
	MUL(Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26) \
	PUT(Z0, Z1, Z2, Z3, Z4, p+640)

// func weighLanes(sums *edSum, digits, stride int, s *edScratch)
TEXT ·weighLanes(SB), NOSPLIT, $0-32
	MOVQ sums+0(FP), R12
	MOVQ digits+8(FP), CX
	MOVQ stride+16(FP), R13
	MOVQ s+24(FP), R11
	LEAQ ·ed25519Lanes(SB), AX
	CONSTANTS(AX)

	// From the highest digit on: p is the sum of the buckets so far, and the sum is that of all p.
	IMUL3Q $192, CX, AX
	ADDQ AX, R12

digit:
#define SUMIN(third, z) \
	VMOVDQU64 (third)(AX), z \
	ADDQ R13, AX

#define SUMSIN(third) \
	MOVQ R12, AX     \
	SUMIN(third, Z0) \
	SUMIN(third, Z1) \
	SUMIN(third, Z2) \
	SUMIN(third, Z3) \
	SUMIN(third, Z4) \
	SUMIN(third, Z5) \
	SUMIN(third, Z6) \
	SUMIN(third, Z7) \
	TRANSPOSE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24)

#define LIMBS(o) \
	PUT(Z17, Z18, Z19, Z20, Z21, o) \
	VMOVDQU64 Z22, (o+320)(R11) \
	VMOVDQU64 Z23, (o+384)(R11) \
	VMOVDQU64 Z24, (o+448)(R11)

	SUBQ $192, R12
	SUMSIN(0)
	LIMBS(QX)
	SUMSIN(64)
	LIMBS(QX+512)
	SUMSIN(128)
	VMOVDQU64 Z17, (QX+1024)(R11)
	VMOVDQU64 Z18, (QX+1088)(R11)
	VMOVDQU64 Z19, (QX+1152)(R11)
	VMOVDQU64 Z20, (QX+1216)(R11)
	ADDTO(PX, QX)
	ADDTO(SUM, PX)
	DECQ CX
	JNZ  digit
	VZEROUPPER
	RET

// func addPointLanes(s *edScratch)
TEXT ·addPointLanes(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), R11
	LEAQ ·ed25519Lanes(SB), AX
	CONSTANTS(AX)
	ADDTO(PX, QX)
	VZEROUPPER
	RET

// func doublePointLanes(s *edScratch, n int)
TEXT ·doublePointLanes(SB), NOSPLIT, $0-16
	MOVQ s+0(FP), R11
	MOVQ n+8(FP), CX
	LEAQ ·ed25519Lanes(SB), AX
	CONSTANTS(AX)

again:
	// H = X² + Y², G = X² - Y², E = H - (X + Y)², F = 2Z² + G.
	TAKE(PZ, Z12, Z13, Z14, Z15, Z16)
	SQUARE(Z12, Z13, Z14, Z15, Z16)
	PUT(Z0, Z1, Z2, Z3, Z4, TEMP)
	TAKE(PX, Z12, Z13, Z14, Z15, Z16)
	SQUARE(Z12, Z13, Z14, Z15, Z16)
	MOVE(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21)
	TAKE(PY, Z22, Z23, Z24, Z25, Z26)
	ADD(Z12, Z13, Z14, Z15, Z16, Z22, Z23, Z24, Z25, Z26, Z12, Z13, Z14, Z15, Z16)
	SQUARE(Z22, Z23, Z24, Z25, Z26)
	ADD(Z17, Z18, Z19, Z20, Z21, Z0, Z1, Z2, Z3, Z4, Z22, Z23, Z24, Z25, Z26)
	SUB(Z17, Z18, Z19, Z20, Z21, Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21)
	SQUARE(Z12, Z13, Z14, Z15, Z16)
	SUB(Z22, Z23, Z24, Z25, Z26, Z0, Z1, Z2, Z3, Z4, Z12, Z13, Z14, Z15, Z16)
	TAKE(TEMP, Z0, Z1, Z2, Z3, Z4)
	DOUBLED
	ADD(Z0, Z1, Z2, Z3, Z4, Z17, Z18, Z19, Z20, Z21, Z0, Z1, Z2, Z3, Z4)
	PUT(Z0, Z1, Z2, Z3, Z4, TEMP)

	// X = E·F, Y = G·H, Z = F·G, T = E·H, which the next doubling does not ask for.
	TIMES(TEMP, Z12, Z13, Z14, Z15, Z16)
	PUT(Z0, Z1, Z2, Z3, Z4, PX)
	TIMES(TEMP, Z17, Z18, Z19, Z20, Z21)
	PUT(Z0, Z1, Z2, Z3, Z4, PZ)
	MUL(Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26)
	PUT(Z0, Z1, Z2, Z3, Z4, PY)
	DECQ CX
	JNZ  again
	MUL(Z12, Z13, Z14, Z15, Z16, Z22, Z23, Z24, Z25, Z26)
	PUT(Z0, Z1, Z2, Z3, Z4, PT)
	VZEROUPPER
	RET
