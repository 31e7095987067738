// Programs that end, fork, or use threads in ways of their own: ../process_test.cpp says what is
// expected of each.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

__device__ int kept = 11;
__global__ void add(int* x, int n) { x[threadIdx.x] += n; }

int* new_memory() {
  int* x;
  cudaMalloc(&x, 32 * sizeof(int));
  cudaMemset(x, 0, 32 * sizeof(int));
  return x;
}
/// An element of the memory, which goes.
int take(int* x, int element) {
  int all[32] = {};
  cudaMemcpy(all, x, sizeof all, cudaMemcpyDeviceToHost);
  cudaFree(x);
  return all[element];
}
bool works() {
  int* x = new_memory();
  add<<<1, 32>>>(x, 3);
  return take(x, 31) == 3;
}
int exit_code_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int fork_after() {
  int* x = new_memory();
  add<<<1, 32, 0, cudaStreamPerThread>>>(x, 1);
  const pid_t child = fork();
  if (child == 0) {
    int* y = nullptr;
    const bool refused = cudaMalloc(&y, 4) == cudaErrorInitializationError &&
                         cudaDeviceSynchronize() == cudaErrorInitializationError;
    std::exit(refused ? 0 : 3);
  }
  const int code = exit_code_of(child);
  int there = 0;
  cudaMemcpyFromSymbol(&there, kept, sizeof there);  // the child's end took nothing away
  return code != 0 ? code : take(x, 0) != 1 || there != 11;
}

int fork_before() {
  const pid_t child = fork();
  if (child == 0) std::exit(works() ? 0 : 3);
  return exit_code_of(child) + !works();
}

int threads() {
  std::vector<std::thread> all;
  std::vector<int> right(16);
  for (int t = 0; t < 16; t++)
    all.emplace_back([t, &right] {
      int *x, got[32];
      cudaMallocAsync(&x, sizeof got, cudaStreamPerThread);
      cudaMemsetAsync(x, 0, sizeof got, cudaStreamPerThread);
      for (int k = 0; k < 20; k++) add<<<1, 32, 0, cudaStreamPerThread>>>(x, t);
      cudaMemcpyAsync(got, x, sizeof got, cudaMemcpyDeviceToHost, cudaStreamPerThread);
      cudaFreeAsync(x, cudaStreamPerThread);
      cudaStreamSynchronize(cudaStreamPerThread);
      right[size_t(t)] = got[31] == 20 * t && cudaGetLastError() == cudaSuccess;
    });
  for (auto& t : all) t.join();
  for (const int r : right)
    if (!r) return 1;
  return 0;
}

/// Frees its memory, and launches, when main is over.
struct Late {
  int* x = nullptr;
  ~Late() {
    if (!x) return;
    add<<<1, 32, 0, cudaStreamPerThread>>>(x, 7);
    cudaStreamSynchronize(cudaStreamPerThread);
    const int got = take(x, 1);
    std::printf("the destructor got %d\n", got);
  }
} late;

int destructor() {
  late.x = new_memory();
  add<<<1, 32, 0, cudaStreamPerThread>>>(late.x, 1);
  cudaStreamSynchronize(cudaStreamPerThread);
  return 0;
}

void fault() { add<<<1, 32>>>(nullptr, 1); }

int fault_in_threads() {
  fault();
  std::thread a([] { fault(), cudaDeviceSynchronize(); });
  std::thread b([] { fault(), cudaDeviceSynchronize(); });
  a.join();
  b.join();
  return 0;
}

int touch_in_threads() {
  int* x = new_memory();
  const auto touch = [x] { *static_cast<volatile int*>(x) = 1; };
  std::thread a(touch), b(touch);
  a.join();
  b.join();
  return 0;
}

int fault_in_graph() {
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  add<<<1, 32, 0, stream>>>(nullptr, 1);
  cudaGraph_t graph;
  cudaStreamEndCapture(stream, &graph);
  cudaGraphExec_t exec;
  cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphLaunch(exec, stream);
  return cudaStreamSynchronize(stream);
}

int fault_in_callback() {
  int* x = new_memory();
  cudaLaunchHostFunc(
      nullptr, [](void* p) { *static_cast<volatile int*>(p) = 1; }, x);
  return cudaDeviceSynchronize();
}

int fault_at_exit() {
  fault();
  return 0;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  const auto is = [&](const char* name) { return std::strcmp(what, name) == 0; };
  if (is("fork_after")) return fork_after();
  if (is("fork_before")) return fork_before();
  if (is("threads")) return threads();
  if (is("destructor")) return destructor();
  if (is("fault_in_threads")) return fault_in_threads();
  if (is("touch_in_threads")) return touch_in_threads();
  if (is("fault_in_graph")) return fault_in_graph();
  if (is("fault_in_callback")) return fault_in_callback();
  if (is("fault_at_exit")) return fault_at_exit();
  // The others leave memory behind, and work that nothing waited for.
  add<<<1, 32>>>(new_memory(), 1);
  if (is("return")) return 0;
  if (is("return_error")) return 3;
  if (is("exit")) std::exit(0);
  if (is("exit_error")) std::exit(3);
  if (is("quick_exit")) std::quick_exit(4);
  if (is("_exit")) _exit(5);
  if (is("abort")) std::abort();
  if (is("throw")) throw std::runtime_error("thrown");
  return 2;
}
