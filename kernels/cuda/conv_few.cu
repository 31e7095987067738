// Contract: kernels/conv.h. Reference: kernels/cpu/conv.cpp.
// All passes are one of three sums over the nine taps t and the channels f of the few, m of the
// many; a pixel outside its image counts as 0:
//   spread  many[p, m] = sum over t, f of few[p + t, f] * w[t, f, m]
//   gather  few[p, f]  = sum over t, m of many[p + t, m] * w[t, f, m]
//   weight  w[t, f, m] = sum over p of few[p + t, f] * many[p, m]
// A block has some rows of one image, or of a strip of it where it is wide. In spread and weight it
// keeps the few channels of their pixels in shared memory with a border of zeros, four floats a
// pixel; a thread stays with a few of the many channels, so that the many are written or read once.
// In gather a thread has a pixel of the many, which come through shared memory a run of channels at
// a time, and multiplies it by all w[., ., m]; then the products of nine pixels are added up. Sums
// are f32 in a fixed order.
// Simulated for an H100, not yet run on a card, 16 images of 32x32 with 3 and 128 channels in f32:
// spread 8 us, gather 21, weight 16; a thread an element took 92 and 55 for the first two. They are
// bound by the issue of instructions and by shared memory; memory alone would take 2.6.
#include "kernels/cuda/conv_few.cuh"

#include <algorithm>

#include "kernels/cuda/columns.cuh"

namespace noisette::cuda::few {
namespace {

constexpr int kTaps = 9, kSlots = 4;  // channels of the few, with padding
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
};

/// What a block has of an image: pixels and channels of the many.
struct Cut {
  int rows, columns, channels;

  /// Rows are few enough that a large card has work.
  Cut(const Pass& s, int64_t most_rows, int64_t columns, int64_t channels)
      : rows(int(cuts::few_rows(s.batch, s.height, most_rows))),
        columns(int(columns)),
        channels(int(channels)) {}
  __host__ __device__ int64_t down(const Pass& s) const { return ceil_div(s.height, rows); }
  __host__ __device__ int64_t strips(const Pass& s) const { return ceil_div(s.width, columns); }
  __host__ __device__ int64_t runs(const Pass& s) const { return ceil_div(s.many, channels); }
  dim3 blocks(const Pass& s) const {
    return dim3(unsigned(s.batch * down(s) * strips(s) * runs(s)));
  }
};

/// The first pixel and channel of a block, and how much of its cut lies in the image. Blocks are
/// counted across runs of channels, across the image, then down.
struct Place {
  int64_t image, row, column, first;
  int rows, columns, channels;

  __device__ Place(const Pass& s, const Cut& cut) {
    const DivMod across(blockIdx.x, cut.runs(s)), aside(across.quotient, cut.strips(s));
    const DivMod below(aside.quotient, cut.down(s));
    image = below.quotient;
    row = below.remainder * cut.rows;
    column = aside.remainder * cut.columns;
    first = across.remainder * cut.channels;
    rows = int(s.height - row < cut.rows ? s.height - row : cut.rows);
    columns = int(s.width - column < cut.columns ? s.width - column : cut.columns);
    channels = int(s.many - first < cut.channels ? s.many - first : cut.channels);
  }
  /// Of pixels of the many, or of the few in gather.
  __device__ int64_t pixel(const Pass& s, int below, int aside) const {
    return (image * s.height + row + below) * s.width + column + aside;
  }
};

/// The few channels of a pixel.
struct alignas(16) Slots {
  float f[kSlots];
};

/// The few around a block's pixels: pixel (i, j) of the patch is (row + i - top, column + j - left)
/// of the image.
struct Patch {
  Slots* pixels;
  int width;

  __device__ Patch(Slots* memory, int64_t columns) : pixels(memory), width(int(columns) + 2) {}
  static int64_t count(int64_t rows, int64_t columns) { return (rows + 2) * (columns + 2); }

  template <class T>
  __device__ void fill(const Pass& s, const Place& at, const T* few) const {
    for (int i = int(threadIdx.x); i < (at.rows + 2) * width; i += kThreads) {
      const int64_t h = at.row + i / width - s.top, w = at.column + i % width - s.left;
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

constexpr int64_t in_strips(int64_t columns) { return ceil_div(columns, kStrip) * kStrip; }

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
                       Pass s, Cut cut) {
  constexpr int kWidth = kVector<T>;
  const Place at(s, cut);
  const int cols = at.channels, vectors = cols / kWidth, height = kThreads / vectors;
  const int column = int(threadIdx.x) % vectors, lane = int(threadIdx.x) / vectors;
  const Patch patch(dynamic_shared<Slots>(), in_strips(cut.columns));
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
  const int strips = int(ceil_div(at.columns, kStrip));
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
      if (first + p >= at.columns) continue;
      const int64_t to = at.pixel(s, row, first + p) * s.many + m;
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

/// Rows or columns [begin, begin + length) of an image with `size` of them, those inside.
struct Span {
  int64_t first;
  int count, outside;  // outside: before the first

  __device__ Span(int64_t begin, int length, int64_t size)
      : first(begin > 0 ? begin : 0), outside(int(first - begin)) {
    const int64_t end = begin + length < size ? begin + length : size;
    count = int(end > first ? end - first : 0);
  }
};

template <int kFew, class T>
__global__ void gather(const T* many, const T* weight, const float* bias, const T* add, T* few,
                       Pass s, Cut cut) {
  constexpr int kProducts = kTaps * kFew, kWidth = kVector<T>;
  constexpr int kWeights = (kProducts + 3) / 4 * 4;
  __shared__ float values[kThreads][kRun + 1];
  __shared__ alignas(16) float w[kRun][kWeights];
  __shared__ int64_t pixel_of[kThreads];  // among those of the many
  const Place at(s, cut);
  const Span down(at.row - s.top, at.rows + 2, s.other_height);
  const Span across(at.column - s.left, at.columns + 2, s.other_width);
  const int pixels = down.count * across.count;
  float* const products = dynamic_shared<float>();
  for (int begin = 0; begin < pixels; begin += kThreads) {
    const int here = pixels - begin < kThreads ? pixels - begin : kThreads;
    if (const int i = begin + int(threadIdx.x); i < pixels)
      pixel_of[threadIdx.x] =
          (at.image * s.other_height + down.first + i / across.count) * s.other_width +
          across.first + i % across.count;
    float sum[kProducts] = {};
    for (int first = 0; first < s.many; first += kRun) {
      const int run = s.many - first < kRun ? s.many - first : kRun;
      __syncthreads();
      for (int i = int(threadIdx.x); i < here * (run / kWidth); i += kThreads) {
        const int pixel = i / (run / kWidth), c = i % (run / kWidth) * kWidth;
        const auto in = Pack<T, kWidth>::read(many + pixel_of[pixel] * s.many + first + c);
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
  const int row_of_few = at.columns * s.few;
  for (int i = int(threadIdx.x); i < at.rows * row_of_few; i += kThreads) {
    const int row = i / row_of_few, x = i % row_of_few / s.few, f = i % s.few;
    float sum = bias != nullptr ? bias[f] : 0.f;
    for (int tap = 0; tap < kTaps; ++tap) {
      const int h = row + tap / 3 - down.outside, v = x + tap % 3 - across.outside;
      if (h < 0 || h >= down.count || v < 0 || v >= across.count) continue;
      sum += products[(h * across.count + v) * kProducts + tap * kFew + f];
    }
    const int64_t to = at.pixel(s, row, x) * s.few + f;
    store(few + to, add != nullptr ? sum + load(add + to) : sum);
  }
}

// --- Weight.

constexpr int kPair = 2, kPairs = 64;  // channels of a thread, threads across

/// partial [blocks down and across an image, of all images, weight's elements]
template <int kFew, class T>
__global__ void weight_parts(const T* few, const T* many, float* partial, Pass s, Cut cut) {
  constexpr int kProducts = kTaps * kFew, kDown = kThreads / kPairs;
  __shared__ float of_lanes[kDown][kPairs * kPair];
  const Place at(s, cut);
  const int column = int(threadIdx.x) % kPairs, lane = int(threadIdx.x) / kPairs;
  const int64_t m = at.first + column * kPair;
  const Patch patch(dynamic_shared<Slots>(), cut.columns);
  patch.fill(s, at, few);
  __syncthreads();
  float sum[kProducts][kPair] = {};
  if (m < s.many)
    for (int p = lane; p < at.rows * at.columns; p += kDown) {
      const int row = p / at.columns, x = p % at.columns;
      const auto in = Pack<T, kPair>::read(many + at.pixel(s, row, x) * s.many + m);
#pragma unroll
      for (int tap = 0; tap < kTaps; ++tap) {
        const Slots around = patch.pixels[(row + tap / 3) * patch.width + x + tap % 3];
#pragma unroll
        for (int f = 0; f < kFew; ++f)
#pragma unroll
          for (int k = 0; k < kPair; ++k) sum[tap * kFew + f][k] += around.f[f] * in[k];
      }
    }
  const int64_t block = blockIdx.x / cut.runs(s);
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

/// Of gather: pixels of the many of which a block keeps the products, and columns of a block where
/// an image is wider than kWhole.
constexpr int64_t kMostPixels = 384, kWhole = 64, kOfWide = 32;

template <class T>
void run(const char* name, ConvPass pass, const T* in, const T* weight, const float* bias,
         const T* add, T* out, const ConvDims& d) {
  const Pass s(pass, d);
  const bool from_few = (pass == ConvPass::forward) == (d.in_c < d.out_c);
  with_few(s.few, [&](auto few) {
    constexpr int kFew = decltype(few)::value;
    if (from_few) {
      const Cut cut(s, 8, cuts::few_columns(s.width), std::min(s.many, 32 * kVector<T>));
      const auto shared = Patch::count(cut.rows, in_strips(cut.columns)) * sizeof(Slots) +
                          SpreadWeights::floats(kFew, cut.channels) * sizeof(float);
      launch(name, spread<kFew, T>, cut.blocks(s), kThreads, shared, in, weight, bias, add, out, s,
             cut);
    } else {
      const int64_t columns = s.width <= kWhole ? s.width : kOfWide;
      const int64_t around = std::min(s.other_width, columns + 2);
      const Cut cut(s, std::min<int64_t>(8, kMostPixels / around - 2), columns, s.many);
      const auto shared = std::size_t((cut.rows + 2) * around * kTaps * kFew) * sizeof(float);
      launch(name, gather<kFew, T>, cut.blocks(s), kThreads, shared, in, weight, bias, add, out, s,
             cut);
    }
  });
}

}  // namespace

bool takes(const ConvDims& d) {
  const int64_t few = std::min(d.in_c, d.out_c), many = std::max(d.in_c, d.out_c);
  const auto near = [](int64_t pad) { return pad >= 0 && pad <= 2; };
  return d.x_numel() > 0 && d.y_numel() > 0 && d.kernel_h == 3 && d.kernel_w == 3 &&
         d.stride == 1 && few <= kSlots && many % 8 == 0 && near(d.pad_top) && near(d.pad_left);
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
  const Cut cut(s, cuts::kRowsOfFew, cuts::few_columns(s.width), kPairs * kPair);
  const int64_t parts = s.batch * cut.down(s) * cut.strips(s);
  Scratch scratch;
  float* partial = scratch.take<float>(parts * d.weight_numel());
  const T *few_image = s.filters_are_many ? x : dy, *many_image = s.filters_are_many ? dy : x;
  with_few(s.few, [&](auto few) {
    launch("conv2d_backward_weight", weight_parts<decltype(few)::value, T>, cut.blocks(s), kThreads,
           std::size_t(Patch::count(cut.rows, cut.columns)) * sizeof(Slots), few_image, many_image,
           partial, s, cut);
  });
  sum_columns("conv2d_backward_weight", partial, 1, parts, d.weight_numel(),
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
