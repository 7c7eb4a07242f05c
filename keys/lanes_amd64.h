// Eight elements of a field side by side, one in each 64-bit lane of five registers: limbs of 52 bits, as
// VPMADD52LUQ and VPMADD52HUQ multiply them. lanes_amd64.go says what the limbs may hold; the comments here give the bounds
// in between. Nothing branches on data. No register survives a call, so macros name theirs.
//
// There are two fields, and what tells them apart are constants. Both have 2^256 - c for a c below 2^33 that stands for zero: secp256k1's prime,
// and twice that of Ed25519. This number is p here, and the bounds are those of the larger c.
//
// Z28 to Z31 hold constants, Z0 to Z9 sums of products, Z10 and Z11 are for whatever is needed for an instruction or two.

#define BITS52 Z31
#define BITS48 Z30
#define FOLD260 Z29 /* 2^260 modulo p */
#define FOLD256 Z28 /* 2^256 modulo p */

// CONSTANTS takes the address of a laneField.
#define CONSTANTS(f) \
	VPBROADCASTQ 0(f), BITS52   \
	VPBROADCASTQ 8(f), BITS48   \
	VPBROADCASTQ 16(f), FOLD260 \
	VPBROADCASTQ 24(f), FOLD256

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

