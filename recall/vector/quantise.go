package vector

import "math"

// Point is a vector of length one, each number rounded to one of 255 steps: direction is what
// counts, and that costs a hundredth of it at most.
type Point struct {
	scale   float32 // of one step
	numbers []int8
}

// quantise rounds v, which has a direction.
func quantise(v []float32) Point {
	var sum, top float64
	for _, f := range v {
		sum += float64(f) * float64(f)
		top = max(top, math.Abs(float64(f)))
	}
	step := top / math.MaxInt8
	p := Point{scale: float32(step / math.Sqrt(sum)), numbers: make([]int8, len(v))}
	for i, f := range v {
		p.numbers[i] = int8(math.RoundToEven(float64(f) / step))
	}
	return p
}

// dot has a and b of one length. Eight numbers a turn, in two sums, so that one addition need
// not wait for the other; the sum of 8192 products fits.
func dot(a, b []int8) int32 {
	var s, t int32
	b = b[:len(a)]
	for len(a) >= 8 && len(b) >= 8 {
		x, y := (*[8]int8)(a), (*[8]int8)(b)
		s += int32(x[0])*int32(y[0]) + int32(x[1])*int32(y[1]) + int32(x[2])*int32(y[2]) + int32(x[3])*int32(y[3])
		t += int32(x[4])*int32(y[4]) + int32(x[5])*int32(y[5]) + int32(x[6])*int32(y[6]) + int32(x[7])*int32(y[7])
		a, b = a[8:], b[8:]
	}
	for i := range a {
		s += int32(a[i]) * int32(b[i])
	}
	return s + t
}
