// ldmatrix, stmatrix and movmatrix: every form against indexing of the same memory.
#include <cstdint>
#include <cstdio>

__device__ uint32_t address_of(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

__device__ uint32_t pair(const uint16_t* low, const uint16_t* high) {
  return *low | uint32_t(*high) << 16;
}

/// Counts in `bad` what the instructions give otherwise than plain loads do.
__global__ void check(int* bad) {
  __shared__ __align__(16) uint16_t m[4][8][8], copy[4][8][8];
  const int lane = int(threadIdx.x), g = lane / 4, t = lane % 4;
  for (int i = lane; i < 256; i += 32) m[i / 64][i / 8 % 8][i % 8] = uint16_t(i * 37 + 5);
  __syncwarp();
  const uint32_t row = address_of(m[lane / 8][lane % 8]);
  uint32_t r[4], s[4], one, two[2];
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(s[0]), "=r"(s[1]), "=r"(s[2]), "=r"(s[3])
               : "r"(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
               : "=r"(one)
               : "r"(lane < 8 ? row : 1));
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(two[0]), "=r"(two[1])
               : "r"(lane < 16 ? row : 1));
  int wrong = 0;
  for (int k = 0; k < 4; ++k) {
    wrong += r[k] != pair(&m[k][g][2 * t], &m[k][g][2 * t + 1]);
    wrong += s[k] != pair(&m[k][2 * t][g], &m[k][2 * t + 1][g]);
  }
  wrong += one != r[0];
  wrong += two[0] != s[0];
  wrong += two[1] != s[1];
  uint32_t turned;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(turned) : "r"(r[0]));
  wrong += turned != s[0];
#if __CUDA_ARCH__ >= 900
  const uint32_t to = address_of(copy[lane / 8][lane % 8]);
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(to),
               "r"(s[0]), "r"(s[1]), "r"(s[2]), "r"(s[3])
               : "memory");
  __syncwarp();
  for (int i = lane; i < 256; i += 32) wrong += (&copy[0][0][0])[i] != (&m[0][0][0])[i];
  __syncwarp();
  asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(to), "r"(s[2])
               : "memory");
  __syncwarp();
  for (int i = lane; i < 64; i += 32) wrong += copy[0][i / 8][i % 8] != m[2][i % 8][i / 8];
#endif
  if (wrong) atomicAdd(bad, wrong);
}

int main() {
  int* bad;
  cudaMallocManaged(&bad, sizeof *bad);
  *bad = 0;
  check<<<1, 32>>>(bad);
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess || *bad != 0) {
    std::printf("ldmatrix: %s, %d wrong\n", cudaGetErrorString(error), *bad);
    return 1;
  }
  cudaFree(bad);
  return 0;
}
