// Writes a .cu file with random functions that are compiled for host and device and must agree bit
// for bit (NaNs count as equal):
//
//   generate SEED [FUNCTIONS=200] > random.cu
//   nvcc -std=c++20 --fmad=false -Xcompiler -ffp-contract=off ... random.cu
//
// Nothing that is generated has undefined behaviour: arithmetic is unsigned, shifts and divisions
// are guarded, numbers are converted to integers only in range, and all loops end.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

uint64_t state = 1;
uint32_t pick(uint32_t n) {  // xorshift64*
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return uint32_t(state * 0x2545f4914f6cdd1d >> 33) % n;
}
template <size_t N>
const char* one_of(const char* const (&list)[N]) {
  return list[pick(N)];
}

const char* const kTypes[] = {"int",    "unsigned", "i64",   "u64",  "float",
                              "double", "short",    "char8", "half", "brain"};
enum { kInt, kUnsigned, kLong, kULong, kFloat, kDouble, kShort, kChar, kHalf, kBrain, kTypeCount };
bool narrow(int t) { return t == kHalf || t == kBrain; }
bool real(int t) { return t == kFloat || t == kDouble || narrow(t); }

struct Variable {
  std::string name;
  int type;
  bool fixed = false;  // a loop counts with it
};

class Function {
 public:
  explicit Function(int number) : number_(number) {
    for (int k = 0; k < 4; ++k)
      variables_.push_back({std::string(1, char('a' + k)), k == 0   ? kInt
                                                           : k == 1 ? kULong
                                                           : k == 2 ? kFloat
                                                                    : kDouble});
  }

  std::string text() {
    const int result = int(pick(kTypeCount));
    std::string body = block(1, 2 + int(pick(3)), 2);
    body += "  return bits_of(" + expression(result, 3) + ");\n";
    return "__host__ __device__ inline u64 f" + std::to_string(number_) +
           "(int a, u64 b, float c, double d) {\n" + body + "}\n";
  }

 private:
  std::string constant(int type) {
    static const char* const kReals[] = {"0",     "1",     "-1",  "0.5",  "3.25",
                                         "-1e10", "1e-20", "0.1", "65536"};
    static const char* const kWhole[] = {
        "0",   "1",    "2",     "3",          "7",          "31",         "127",
        "255", "1000", "65535", "0x7fffffff", "0x80000000", "0xdeadbeef", "0x123456789abcdef"};
    const std::string value = real(type) ? one_of(kReals) : one_of(kWhole);
    return std::string(kTypes[type]) +
           (narrow(type) ? "(float(" + value + "))" : "(" + value + ")");
  }

  std::string leaf(int type) {
    if (pick(4) == 0) return constant(type);
    const Variable& v = variables_[pick(uint32_t(variables_.size()))];
    return v.type == type ? v.name : cast(type, v.type, v.name);
  }
  std::string cast(int to, int from, const std::string& text) {
    if (narrow(from)) return from == to ? text : cast(to, kFloat, "float(" + text + ")");
    if (real(from) && !real(to)) return std::string("to_whole<") + kTypes[to] + ">(" + text + ")";
    if (narrow(to)) return std::string(kTypes[to]) + "(float(" + text + "))";
    return std::string(kTypes[to]) + "(" + text + ")";
  }

  std::string expression(int type, int depth) {
    if (depth == 0 || pick(8) == 0) return leaf(type);
    if (pick(7) == 0) {
      const int from = int(pick(kTypeCount));
      return cast(type, from, expression(from, depth - 1));
    }
    if (pick(9) == 0)
      return "(" + condition(depth - 1) + " ? " + expression(type, depth - 1) + " : " +
             expression(type, depth - 1) + ")";
    const std::string x = expression(type, depth - 1);
    if (narrow(type)) {
      static const char* const kBinary[] = {"plus", "minus", "times", "least", "most"};
      if (pick(5) == 0) return "-(" + x + ")";
      return std::string(one_of(kBinary)) + "(" + x + ", " + expression(type, depth - 1) + ")";
    }
    if (real(type)) {
      static const char* const kBinary[] = {"plus", "minus", "times", "over", "least", "most"};
      static const char* const kUnary[] = {"-", "fabs", "sqrt", "floor", "trunc", "rint"};
      if (pick(5) == 0) return std::string(one_of(kUnary)) + "(" + x + ")";
      if (pick(9) == 0)
        return "fma(" + x + ", " + expression(type, depth - 1) + ", " +
               expression(type, depth - 1) + ")";
      return std::string(one_of(kBinary)) + "(" + x + ", " + expression(type, depth - 1) + ")";
    }
    static const char* const kBinary[] = {"plus",  "minus",  "times",  "over", "modulo",
                                          "both",  "either", "differ", "left", "right",
                                          "least", "most",   "rotate"};
    static const char* const kUnary[] = {"negated", "inverted", "ones",
                                         "zeros",   "absolute", "swapped"};
    if (pick(5) == 0) return std::string(one_of(kUnary)) + "(" + x + ")";
    return std::string(one_of(kBinary)) + "(" + x + ", " + expression(type, depth - 1) + ")";
  }

  std::string condition(int depth) {
    static const char* const kRelations[] = {"<", "<=", ">", ">=", "==", "!="};
    const int type = int(pick(kTypeCount));
    std::string text = "(" + expression(type, depth) + " " + one_of(kRelations) + " " +
                       expression(type, depth) + ")";
    if (depth > 0 && pick(4) == 0)
      text = "(" + text + (pick(2) ? " && " : " || ") + condition(depth - 1) + ")";
    return pick(6) == 0 ? "!" + text : text;
  }

  std::string block(int indent, int statements, int depth) {
    const size_t known = variables_.size();
    std::string text;
    for (int k = 0; k < statements; ++k) text += statement(indent, depth);
    if (indent > 1) variables_.resize(known);
    return text;
  }

  std::string statement(int indent, int depth) {
    const std::string space(size_t(indent) * 2, ' ');
    const uint32_t kind = pick(depth > 0 ? 12 : 6);
    if (kind < 3) {
      const int type = int(pick(kTypeCount));
      const std::string name = "v" + std::to_string(names_++);
      const std::string text =
          space + kTypes[type] + " " + name + " = " + expression(type, 2) + ";\n";
      variables_.push_back({name, type});
      return text;
    }
    if (kind < 6) {
      const Variable v = variables_[pick(uint32_t(variables_.size()))];
      if (v.fixed) return space + ";\n";
      return space + v.name + " = " + expression(v.type, 2) + ";\n";
    }
    if (kind < 9) {
      std::string text = space + "if (" + condition(1) + ") {\n" + block(indent + 1, 2, depth - 1);
      if (pick(2)) text += space + "} else {\n" + block(indent + 1, 2, depth - 1);
      return text + space + "}\n";
    }
    if (kind == 9) {
      std::string text = space + "switch (" + expression(kUnsigned, 1) + " % 5) {\n";
      for (int k = 0; k < 4; ++k)
        text += space + "  case " + std::to_string(k) + ": {\n" + block(indent + 2, 1, depth - 1) +
                space + "  }" + (pick(4) ? " break;\n" : " [[fallthrough]];\n");
      return text + space + "  default:;\n" + space + "}\n";
    }
    const std::string i = "i" + std::to_string(names_++);
    std::string text = space + "for (int " + i + " = 0; " + i + " < int(" +
                       expression(kUnsigned, 1) + " % 9); ++" + i + ") {\n";
    variables_.push_back({i, kInt, true});
    text += block(indent + 1, 2, depth - 1);
    if (pick(3) == 0)
      text += space + "  if (" + condition(1) + ") " + (pick(2) ? "break" : "continue") + ";\n";
    variables_.pop_back();
    return text + space + "}\n";
  }

  int number_, names_ = 0;
  std::vector<Variable> variables_;
};

// What the functions are made of, and the program that compares them.
const char* const kHead = R"(
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <vector>

using brain = __nv_bfloat16;
using i64 = int64_t;
using u64 = uint64_t;
using char8 = signed char;
#define BOTH __host__ __device__ inline

template <class T> using Unsigned = std::conditional_t<sizeof(T) == 8, u64, uint32_t>;
template <class T> BOTH T plus(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a + b; else return T(Unsigned<T>(a) + Unsigned<T>(b)); }
template <class T> BOTH T minus(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a - b; else return T(Unsigned<T>(a) - Unsigned<T>(b)); }
template <class T> BOTH T times(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a * b; else return T(Unsigned<T>(a) * Unsigned<T>(b)); }
template <class T> BOTH T over(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a / b;
  else return b == 0 ? a : std::is_signed_v<T> && b == T(-1) ? T(-Unsigned<T>(a)) : T(a / b); }
BOTH half plus(half a, half b) { return a + b; }
BOTH half minus(half a, half b) { return a - b; }
BOTH half times(half a, half b) { return a * b; }
BOTH brain plus(brain a, brain b) { return a + b; }
BOTH brain minus(brain a, brain b) { return a - b; }
BOTH brain times(brain a, brain b) { return a * b; }
template <class T> BOTH T modulo(T a, T b) {
  return b == 0 || (std::is_signed_v<T> && b == T(-1)) ? T(0) : T(a % b); }
template <class T> BOTH T both(T a, T b) { return T(a & b); }
template <class T> BOTH T either(T a, T b) { return T(a | b); }
template <class T> BOTH T differ(T a, T b) { return T(a ^ b); }
template <class T> BOTH T left(T a, T b) { return T(Unsigned<T>(a) << (b & (sizeof(T) * 8 - 1))); }
template <class T> BOTH T right(T a, T b) { return T(a >> (b & (sizeof(T) * 8 - 1))); }
template <class T> BOTH T least(T a, T b) { return a < b ? a : b; }
template <class T> BOTH T most(T a, T b) { return a > b ? a : b; }
template <class T> BOTH T rotate(T a, T b) {
  using U = std::make_unsigned_t<T>; const int n = sizeof(T) * 8, k = int(b & (n - 1));
  return T(U(u64(U(a)) << k) | U(U(a) >> ((n - k) & (n - 1)))); }
template <class T> BOTH T negated(T a) { return T(-Unsigned<T>(a)); }
template <class T> BOTH T inverted(T a) { return T(~a); }
template <class T> BOTH T absolute(T a) { return a < T(0) ? negated(a) : a; }
template <class T> BOTH T ones(T a) { int n = 0; for (u64 x = u64(a); x; x &= x - 1) ++n; return T(n); }
template <class T> BOTH T zeros(T a) {
  int n = 0; for (u64 bit = u64(1) << 63; bit && !(u64(a) & bit); bit >>= 1) ++n; return T(n); }
template <class T> BOTH T swapped(T a) {
  u64 r = 0; for (int k = 0; k < int(sizeof(T)); ++k) r = r << 8 | (u64(a) >> 8 * k & 255); return T(r); }
template <class T, class F> BOTH T to_whole(F x) {
  return x > F(-100) && x < F(100) ? T(int(x)) : x >= F(100) ? T(u64(int(x < F(1e9) ? x : F(77)))) : T(0); }
template <class T> BOTH u64 bits_of(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    if (x != x) return 0x7ff8dead;
    u64 r = 0; memcpy(&r, &x, sizeof x); return r;
  } else return u64(x); }
BOTH u64 bits_of(half x) { return x != x ? 0x7ff8dead : __half_as_ushort(x); }
BOTH u64 bits_of(brain x) { return x != x ? 0x7ff8dead : __bfloat16_as_ushort(x); }

)";

const char* const kTail = R"(
struct Case { int a; u64 b; float c; double d; };
using Run = void (*)(const Case*, u64*, int);
template <u64 (*F)(int, u64, float, double)> __global__ void on_device(const Case* in, u64* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = F(in[i].a, in[i].b, in[i].c, in[i].d);
}
template <u64 (*F)(int, u64, float, double)> int compare(const char* source, const Case* device_in,
                                                         const std::vector<Case>& in, u64* device_out) {
  const int n = int(in.size());
  on_device<F><<<(n + 95) / 96, 96>>>(device_in, device_out, n);
  std::vector<u64> out(in.size());
  if (cudaMemcpy(out.data(), device_out, n * 8, cudaMemcpyDeviceToHost) != cudaSuccess) return 1;
  for (int i = 0; i < n; ++i) {
    const Case& c = in[i];
    const u64 want = F(c.a, c.b, c.c, c.d);
    if (out[i] == want) continue;
    std::printf("%sof (%d, %llu, %a, %a): got %llx, want %llx\n", source, c.a, (unsigned long long)c.b,
                c.c, c.d, (unsigned long long)out[i], (unsigned long long)want);
    return 1;
  }
  return 0;
}
#define COMPARE(k) failures += compare<f##k>(source##k, device_in, in, device_out);

int main() {
  u64 s = kSeed;
  const auto next = [&] { s ^= s << 13, s ^= s >> 7, s ^= s << 17; return s; };
  std::vector<Case> in(150);
  for (Case& c : in) {
    const int few = int(next() % 4);
    c.a = few == 0 ? int(next() % 9) - 4 : int(next());
    c.b = few == 1 ? next() % 9 : next() >> next() % 64;
    c.c = float(int(next())) * (few == 2 ? 0x1p-31f : 0x1p-20f);
    c.d = double(i64(next())) * (few == 3 ? 0x1p-63 : 0x1p-45);
  }
  Case* device_in;
  u64* device_out;
  cudaMalloc(&device_in, in.size() * sizeof(Case));
  cudaMalloc(&device_out, in.size() * 8);
  cudaMemcpy(device_in, in.data(), in.size() * sizeof(Case), cudaMemcpyHostToDevice);
  int failures = 0;
  compare_all(failures, device_in, in, device_out);
  cudaFree(device_in), cudaFree(device_out);
  std::printf("%d functions of %d disagree, %zu inputs each\n", failures, kFunctions, in.size());
  return failures != 0;
}
)";

}  // namespace

int main(int argc, char** argv) {
  const unsigned long long seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const int functions = argc > 2 ? std::atoi(argv[2]) : 200;
  state = seed * 0x9e3779b97f4a7c15 + 1;
  std::printf("// Generated; seed %llu.", seed);
  std::fputs(kHead, stdout);
  for (int k = 0; k < functions; ++k) {
    const std::string text = Function(k).text();
    const std::string n = std::to_string(k);
    std::printf("%sconst char* const source%d = R\"=(%s)=\";\n\n", text.c_str(), k, text.c_str());
  }
  std::string tail = kTail;
  std::string all =
      "static void compare_all(int& failures, const Case* device_in, const std::vector<Case>& in,"
      " u64* device_out) {\n";
  for (int k = 0; k < functions; ++k) all += "  COMPARE(" + std::to_string(k) + ")\n";
  all += "}\nconstexpr u64 kSeed = " + std::to_string(seed * 2 + 12345) +
         ";\nconstexpr int kFunctions = " + std::to_string(functions) + ";\n\n";
  tail.insert(tail.find("int main"), all);
  std::fputs(tail.c_str(), stdout);
}
