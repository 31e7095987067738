// printf on the device: formats, widths, strings and the order within one thread.
#include <cstdio>

namespace {

__device__ const char* const kWords[] = {"zero", "one", "two"};

__global__ void talk(int n) {
  printf("plain, 100%% and a tab\t.\n");
  printf("d %d %5d|%-5d|%05d %+d u %u x %x %#X o %o c %c\n", -n, n, n, n, n, 4000000000u, 255u,
         255u, 8, 'z');
  printf("ld %ld lld %lld llu %llu lx %lx p %p\n", -1l << 40, -1ll << 50, ~0ull, 1ul << 36,
         reinterpret_cast<void*>(0x1234));
  printf("f %f %.2f %8.3f|%-8.1f| e %e %.3E g %g %G\n", 1.5, 3.14159, -2.0f, 9.99, 12345.678, 1e-10,
         0.0001, 1e20);
  printf("a %a inf %f nan %f\n", 1.0, 1.0 / 0.0, 0.0);
  printf("s %s %10s|%-6s|%.2s\n", kWords[n % 3], "right", "left", "cut");
  printf("%d %s %f %lld %c %d\n", 1, "mixed", 2.5, 3ll, '4', 5);
  printf("star %*d|\n", 6, 42);
  printf("hd %hd hhd %hhd zu %zu\n", short(-3), (signed char)(-4), size_t(77));
}
__global__ void lanes() {
  if (threadIdx.x % 8 == 5) printf("lane %u of block %u\n", threadIdx.x, blockIdx.x);
}

}  // namespace

int main() {
  talk<<<1, 1>>>(7);
  cudaDeviceSynchronize();
  lanes<<<1, 32>>>();
  return cudaDeviceSynchronize() != cudaSuccess;
}
