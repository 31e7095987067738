// Contract: kernels/conv.h. Reference: kernels/cpu/conv.cpp.
// All passes are one of three sums over the nine taps t and the channels f of the few, m of the
// many; a pixel outside its image counts as 0:
//   spread  many[p, m] = sum over t, f of few[p + t, f] * w[t, f, m]
//   gather  few[p, f]  = sum over t, m of many[p + t, m] * w[t, f, m]
//   weight  w[t, f, m] = sum over p of few[p + t, f] * many[p, m]
// A block has some rows of one image. In spread and weight it keeps the few channels of their
// pixels in shared memory with a border of zeros, four floats a pixel; a thread stays with a few of
// the many channels, so that the many are written or read once. In gather a thread has a pixel of
// the many, which come through shared memory a run of channels at a time, and multiplies it by all
// w[., ., m]; then the products of nine pixels are added up. Sums are f32 in a fixed order.
// Simulated for an H100, not yet run on a card, 16 images of 32x32 with 3 and 128 channels in f32:
// spread 8 us, gather 21, weight 16; a thread an element took 92 and 55 for the first two. They are
// bound by the issue of instructions and by shared memory; memory alone would take 2.6.
#include "kernels/cuda/conv_few.cuh"

#include <algorithm>

#include "kernels/cuda/columns.cuh"

namespace noisette::cuda::few {
namespace {

constexpr int kTaps = 9, kSlots = 4;  // channels of the few, with padding
constexpr int64_t kWidest = 128;      // pixels of a row
constexpr int kRun = 32;              // channels of the many that gather keeps at a time

/// One of the three sums. Pixel (i, j) of image p meets (i + a - top, j + b - left) of the other
/// one at tap 3 a + b of w.
struct Pass {
  int64_t batch, height, width;       // of the image whose pixels are p
  int64_t other_height, other_width;  // of the one around p
  int64_t top, left;
  int few, many;
  bool turned;            // taps in the order of w are the weight's from the last to the first
  bool filters_are_many;  // weight [many, 9, few], or [few, 9, many]

  Pass(ConvPass pass, const ConvDims& d)
      : batch(d.batch),
        few(int(std::min(d.in_c, d.out_c))),
        many(int(std::max(d.in_c, d.out_c))),
        // A gradient of weights goes through the pixels of the many.
        turned(pass == ConvPass::backward_data ||
               (pass == ConvPass::backward_weight && d.out_c < d.in_c)),
        filters_are_many(d.out_c > d.in_c) {
    height = turned ? d.in_h : d.out_h();
    width = turned ? d.in_w : d.out_w();
    other_height = turned ? d.out_h() : d.in_h;
    other_width = turned ? d.out_w() : d.in_w;
    top = turned ? 2 - d.pad_top : d.pad_top;
    left = turned ? 2 - d.pad_left : d.pad_left;
  }
  __host__ __device__ int64_t weight_at(int tap, int f, int64_t m) const {
    const int t = turned ? kTaps - 1 - tap : tap;
    return filters_are_many ? (m * kTaps + t) * few + f : (int64_t(f) * kTaps + t) * many + m;
  }
  /// Rows of a block: few enough that a large card has work.
  int rows(int64_t most) const { return int(cuts::few_rows(batch, height, most)); }
};

/// The rows of a block, which are counted across runs of the many channels, then down the image.
struct Place {
  int64_t image, row, first;  // first of its many channels
  int rows;

  __device__ Place(const Pass& s, int rows_of_block, int cols) {
    const DivMod across(blockIdx.x, ceil_div(s.many, cols));
    const DivMod below(across.quotient, ceil_div(s.height, rows_of_block));
    image = below.quotient;
    row = below.remainder * rows_of_block;
    first = across.remainder * cols;
    rows = int(s.height - row < rows_of_block ? s.height - row : rows_of_block);
  }
};

dim3 blocks(const Pass& s, int rows, int cols) {
  return dim3(unsigned(s.batch * ceil_div(s.height, rows) * ceil_div(s.many, cols)));
}

/// The few channels of a pixel.
struct alignas(16) Slots {
  float f[kSlots];
};

/// The few around the rows of a block: pixel (i, j) of the patch is (row + i - top, j - left) of
/// the image.
struct Patch {
  Slots* pixels;
  int width;

  __device__ Patch(Slots* memory, int64_t width) : pixels(memory), width(int(width) + 2) {}
  static int64_t count(int64_t rows, int64_t width) { return (rows + 2) * (width + 2); }

  template <class T>
  __device__ void fill(const Pass& s, const Place& at, const T* few) const {
    for (int i = int(threadIdx.x); i < (at.rows + 2) * width; i += kThreads) {
      const int64_t h = at.row + i / width - s.top, w = i % width - s.left;
      const bool inside = h >= 0 && h < s.other_height && w >= 0 && w < s.other_width;
      const T* pixel = few + ((at.image * s.other_height + h) * s.other_width + w) * s.few;
      Slots slots;
#pragma unroll
      for (int f = 0; f < kSlots; ++f) slots.f[f] = inside && f < s.few ? load(pixel + f) : 0.f;
      pixels[i] = slots;
    }
  }
};

// --- Spread.

constexpr int kStrip = 4;  // neighbouring pixels of a thread

/// Pixels of a row in whole strips.
constexpr int64_t in_strips(int64_t width) { return ceil_div(width, kStrip) * kStrip; }

/// Vectors of w in shared memory: those of four channels m lie together for all threads, so that
/// they meet no bank twice; rows, (tap, f) each, begin a little apart.
struct SpreadWeights {
  float* data;
  int stride;  // of a row
  __device__ SpreadWeights(float* data, int cols) : data(data), stride(cols + 4) {}
  static int64_t floats(int few, int64_t cols) { return kTaps * few * (cols + 4); }

  /// Four channels from `quarter * 4` on of vector `column`.
  __device__ float* at(int row, int vectors, int column, int quarter) const {
    return data + row * stride + (quarter * vectors + column) * 4;
  }
};

template <int kFew, class T>
__global__ void spread(const T* few, const T* weight, const float* bias, const T* add, T* many,
                       Pass s, int rows_of_block, int cols_of_block) {
  constexpr int kWidth = kVector<T>;
  const Place at(s, rows_of_block, cols_of_block);
  const int cols = int(s.many - at.first < cols_of_block ? s.many - at.first : cols_of_block);
  const int vectors = cols / kWidth, height = kThreads / vectors;
  const int column = int(threadIdx.x) % vectors, lane = int(threadIdx.x) / vectors;
  const Patch patch(dynamic_shared<Slots>(), in_strips(s.width));
  const SpreadWeights w(reinterpret_cast<float*>(patch.pixels + (at.rows + 2) * patch.width), cols);
  patch.fill(s, at, few);
  for (int i = int(threadIdx.x); i < kTaps * kFew * cols; i += kThreads) {
    // In the order of memory.
    const int m = s.filters_are_many ? i / (kTaps * kFew) : i % cols;
    const int row = s.filters_are_many ? i % (kTaps * kFew) : i / cols;
    const int f = row % kFew;
    *(w.at(row, vectors, m / kWidth, m % kWidth / 4) + m % 4) =
        f < s.few ? load(weight + s.weight_at(row / kFew, f, at.first + m)) : 0.f;
  }
  __syncthreads();
  if (lane >= height) return;
  const int64_t m = at.first + column * kWidth;
  const int strips = int(ceil_div(s.width, kStrip));
  for (int item = lane; item < at.rows * strips; item += height) {
    const int row = item / strips, first = item % strips * kStrip;
    float sum[kStrip][kWidth] = {};
    for (int a = 0; a < 3; ++a) {
      Slots in[kStrip + 2];
#pragma unroll
      for (int p = 0; p < kStrip + 2; ++p)
        in[p] = patch.pixels[(row + a) * patch.width + first + p];
#pragma unroll
      for (int b = 0; b < 3; ++b)
#pragma unroll
        for (int f = 0; f < kFew; ++f)
#pragma unroll
          for (int quarter = 0; quarter < kWidth / 4; ++quarter) {
            const float* from = w.at((a * 3 + b) * kFew + f, vectors, column, quarter);
            const auto four = Pack<float, 4>::read(from);
#pragma unroll
            for (int p = 0; p < kStrip; ++p)
#pragma unroll
              for (int k = 0; k < 4; ++k) sum[p][quarter * 4 + k] += in[p + b].f[f] * four[k];
          }
    }
#pragma unroll
    for (int p = 0; p < kStrip; ++p) {
      if (first + p >= s.width) continue;
      const int64_t to = ((at.image * s.height + at.row + row) * s.width + first + p) * s.many + m;
      using P = Pack<T, kWidth>;
      const P other = add != nullptr ? P::read(add + to) : P{};
      P out;
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const float value = bias != nullptr ? sum[p][k] + bias[m + k] : sum[p][k];
        out.set(k, add != nullptr ? value + other[k] : value);
      }
      out.write(many + to);
    }
  }
}

// --- Gather.

template <int kFew, class T>
__global__ void gather(const T* many, const T* weight, const float* bias, const T* add, T* few,
                       Pass s, int rows_of_block) {
  constexpr int kProducts = kTaps * kFew, kWidth = kVector<T>;
  constexpr int kWeights = (kProducts + 3) / 4 * 4;
  __shared__ float values[kThreads][kRun + 1];
  __shared__ alignas(16) float w[kRun][kWeights];
  const Place at(s, rows_of_block, s.many);
  // Rows of the many from `top` on, those inside the image.
  const int64_t top = at.row - s.top > 0 ? at.row - s.top : 0;
  const int64_t end = at.row + at.rows + 2 - s.top;
  const int64_t bottom = end < s.other_height ? end : s.other_height;
  const int pixels = int(bottom > top ? (bottom - top) * s.other_width : 0);
  float* const products = dynamic_shared<float>();
  const T* const from = many + (at.image * s.other_height + top) * s.other_width * s.many;
  for (int begin = 0; begin < pixels; begin += kThreads) {
    const int here = pixels - begin < kThreads ? pixels - begin : kThreads;
    float sum[kProducts] = {};
    for (int first = 0; first < s.many; first += kRun) {
      const int run = s.many - first < kRun ? s.many - first : kRun;
      __syncthreads();
      for (int i = int(threadIdx.x); i < here * (run / kWidth); i += kThreads) {
        const int pixel = i / (run / kWidth), c = i % (run / kWidth) * kWidth;
        const auto in = Pack<T, kWidth>::read(from + int64_t(begin + pixel) * s.many + first + c);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) values[pixel][c + k] = in[k];
      }
      for (int i = int(threadIdx.x); i < run * kProducts; i += kThreads) {
        const int m = s.filters_are_many ? i / kProducts : i % run;
        const int product = s.filters_are_many ? i % kProducts : i / run;
        const int f = product % kFew;
        w[m][product] = f < s.few ? load(weight + s.weight_at(product / kFew, f, first + m)) : 0.f;
      }
      __syncthreads();
      if (int(threadIdx.x) < here)
        for (int m = 0; m < run; ++m) {
          const float value = values[threadIdx.x][m];
#pragma unroll
          for (int i = 0; i < kProducts; i += 4) {
            const auto four = Pack<float, 4>::read(&w[m][i]);
#pragma unroll
            for (int k = 0; k < 4; ++k)
              if (i + k < kProducts) sum[i + k] += value * four[k];
          }
        }
    }
    if (int(threadIdx.x) < here)
#pragma unroll
      for (int i = 0; i < kProducts; ++i)
        products[(begin + int(threadIdx.x)) * kProducts + i] = sum[i];
  }
  __syncthreads();
  const int row_of_few = int(s.width) * s.few;
  for (int i = int(threadIdx.x); i < at.rows * row_of_few; i += kThreads) {
    const int row = i / row_of_few, x = i % row_of_few / s.few, f = i % s.few;
    float sum = bias != nullptr ? bias[f] : 0.f;
    for (int tap = 0; tap < kTaps; ++tap) {
      const int64_t h = at.row + row + tap / 3 - s.top, v = x + tap % 3 - s.left;
      if (h < 0 || h >= s.other_height || v < 0 || v >= s.other_width) continue;
      sum += products[((h - top) * s.other_width + v) * kProducts + tap * kFew + f];
    }
    const int64_t to = (at.image * s.height + at.row) * row_of_few + i;
    store(few + to, add != nullptr ? sum + load(add + to) : sum);
  }
}

// --- Weight.

constexpr int kPair = 2, kPairs = 64;  // channels of a thread, threads across

/// partial [blocks down, weight's elements]
template <int kFew, class T>
__global__ void weight_parts(const T* few, const T* many, float* partial, Pass s,
                             int rows_of_block) {
  constexpr int kProducts = kTaps * kFew, kDown = kThreads / kPairs;
  __shared__ float of_lanes[kDown][kPairs * kPair];
  const Place at(s, rows_of_block, kPairs * kPair);
  const int column = int(threadIdx.x) % kPairs, lane = int(threadIdx.x) / kPairs;
  const int64_t m = at.first + column * kPair;
  const Patch patch(dynamic_shared<Slots>(), s.width);
  patch.fill(s, at, few);
  __syncthreads();
  float sum[kProducts][kPair] = {};
  const int width = int(s.width);
  if (m < s.many)
    for (int p = lane; p < at.rows * width; p += kDown) {
      const int row = p / width, x = p % width;
      const int64_t pixel = (at.image * s.height + at.row + row) * width + x;
      const auto in = Pack<T, kPair>::read(many + pixel * s.many + m);
#pragma unroll
      for (int tap = 0; tap < kTaps; ++tap) {
        const Slots around = patch.pixels[(row + tap / 3) * patch.width + x + tap % 3];
#pragma unroll
        for (int f = 0; f < kFew; ++f)
#pragma unroll
          for (int k = 0; k < kPair; ++k) sum[tap * kFew + f][k] += around.f[f] * in[k];
      }
    }
  const int64_t block = at.image * ceil_div(s.height, rows_of_block) + at.row / rows_of_block;
  float* const to = partial + block * kTaps * s.few * s.many;
#pragma unroll
  for (int i = 0; i < kProducts; ++i) {
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kPair; ++k) of_lanes[lane][column * kPair + k] = sum[i][k];
    __syncthreads();
    const int c = int(threadIdx.x), f = i % kFew;
    if (c >= kPairs * kPair || at.first + c >= s.many || f >= s.few) continue;
    float total = 0;
#pragma unroll
    for (int l = 0; l < kDown; ++l) total += of_lanes[l][c];
    to[s.weight_at(i / kFew, f, at.first + c)] = total;
  }
}

/// Calls f with the number of few channels that a kernel is made for.
template <class F>
void with_few(int few, const F& f) {
  if (few == 1)
    f(std::integral_constant<int, 1>{});
  else if (few <= 3)
    f(std::integral_constant<int, 3>{});
  else
    f(std::integral_constant<int, 4>{});
}

constexpr int64_t kMostPixels = 384;  // of the many, of which gather keeps the products

template <class T>
void run(const char* name, ConvPass pass, const T* in, const T* weight, const float* bias,
         const T* add, T* out, const ConvDims& d) {
  const Pass s(pass, d);
  const bool from_few = (pass == ConvPass::forward) == (d.in_c < d.out_c);
  with_few(s.few, [&](auto few) {
    constexpr int kFew = decltype(few)::value;
    if (from_few) {
      const int rows = s.rows(8), cols = std::min(s.many, 32 * kVector<T>);
      const auto shared = Patch::count(rows, in_strips(s.width)) * sizeof(Slots) +
                          SpreadWeights::floats(kFew, cols) * sizeof(float);
      launch(name, spread<kFew, T>, blocks(s, rows, cols), kThreads, shared, in, weight, bias, add,
             out, s, rows, cols);
    } else {
      const int rows = s.rows(std::min<int64_t>(8, kMostPixels / s.other_width - 2));
      const auto shared = std::size_t((rows + 2) * s.other_width * kTaps * kFew) * sizeof(float);
      launch(name, gather<kFew, T>, blocks(s, rows, s.many), kThreads, shared, in, weight, bias,
             add, out, s, rows);
    }
  });
}

}  // namespace

bool takes(const ConvDims& d) {
  const int64_t few = std::min(d.in_c, d.out_c), many = std::max(d.in_c, d.out_c);
  const auto near = [](int64_t pad) { return pad >= 0 && pad <= 2; };
  return d.y_numel() > 0 && d.kernel_h == 3 && d.kernel_w == 3 && d.stride == 1 && few <= kSlots &&
         many % 8 == 0 && near(d.pad_top) && near(d.pad_left) &&
         std::max(d.in_w, d.out_w()) <= kWidest;
}

template <class T>
void forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
             const ConvDims& d) {
  run("conv2d_forward", ConvPass::forward, x, weight, bias, residual, y, d);
}

template <class T>
void backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  run<T>("conv2d_backward_data", ConvPass::backward_data, dy, weight, nullptr, add, dx, d);
}

template <class T>
void backward_weight(const T* x, const T* dy, float* dweight, bool accumulate, const ConvDims& d) {
  const Pass s(ConvPass::backward_weight, d);
  const int rows = s.rows(16);
  const int64_t down = s.batch * ceil_div(s.height, rows);
  Scratch scratch;
  float* partial = scratch.take<float>(down * d.weight_numel());
  const T *few_image = s.filters_are_many ? x : dy, *many_image = s.filters_are_many ? dy : x;
  with_few(s.few, [&](auto few) {
    launch("conv2d_backward_weight", weight_parts<decltype(few)::value, T>,
           blocks(s, rows, kPairs * kPair), kThreads,
           std::size_t(Patch::count(rows, s.width)) * sizeof(Slots), few_image, many_image, partial,
           s, rows);
  });
  sum_columns("conv2d_backward_weight", partial, 1, down, d.weight_numel(),
              StoreGradient{dweight, accumulate});
}

#define NOISETTE_INSTANTIATE(T)                                                              \
  template void forward<T>(const T*, const T*, const float*, const T*, T*, const ConvDims&); \
  template void backward_data<T>(const T*, const T*, const T*, T*, const ConvDims&);         \
  template void backward_weight<T>(const T*, const T*, float*, bool, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda::few
