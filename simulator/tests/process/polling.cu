// Programs that go on beside their kernels, and look whether these are done or tell them something:
// ../process_test.cpp says what is expected of each.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

/// Answers `rounds` requests of the host.
__global__ void serve(volatile int* request, volatile int* answer, int rounds) {
  for (int r = 1; r <= rounds; r++) {
    while (*request < r) {
    }
    __threadfence_system();
    *answer = 10 * r;
  }
}
__global__ void set(int* x, int value) { *x = value; }
__global__ void take_long(int* x) {
  unsigned long long begin, now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(begin));
  do {
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  } while (now < begin + 100'000'000);
  *x = 1;
}

/// Two numbers that host and kernels see, one that kernels write and a stream.
struct Shared {
  Shared() {
    cudaStreamCreate(&stream);
    cudaMallocHost(&numbers, 2 * sizeof(int));
    numbers[0] = numbers[1] = 0;
  }
  ~Shared() {
    cudaStreamDestroy(stream);
    cudaFreeHost(numbers);
  }
  volatile int* request() const { return numbers; }
  volatile int* answer() const { return numbers + 1; }
  int* numbers = nullptr;
  cudaStream_t stream = nullptr;
};

/// Whether the kernel answers while the host does `meanwhile`, again and again.
template <class Meanwhile>
bool ask(const Shared& s, int rounds, Meanwhile meanwhile) {
  for (int r = 1; r <= rounds; r++) {
    *s.request() = r;
    while (*s.answer() < 10 * r)
      if (!meanwhile()) return false;
  }
  return true;
}

int query() {
  const Shared s;
  serve<<<1, 1, 0, s.stream>>>(s.request(), s.answer(), 5);
  if (cudaStreamQuery(s.stream) != cudaErrorNotReady) return 1;
  cudaEvent_t event;
  cudaEventCreate(&event);
  cudaEventRecord(event, s.stream);
  if (!ask(s, 5, [&] { return cudaEventQuery(event) == cudaErrorNotReady || *s.answer() == 50; }))
    return 2;
  while (cudaEventQuery(event) == cudaErrorNotReady) {
  }
  return cudaStreamSynchronize(s.stream);
}

/// No call of the API tells that the host waits.
int memory() {
  const Shared s;
  serve<<<1, 1, 0, s.stream>>>(s.request(), s.answer(), 5);
  ask(s, 5, [] { return true; });
  set<<<1, 1, 0, s.stream>>>(s.numbers, 70);
  cudaLaunchHostFunc(
      s.stream,
      [](void* p) {
        auto* numbers = static_cast<volatile int*>(p);
        numbers[1] = numbers[0] + 1;
      },
      s.numbers);
  while (*s.answer() != 71) {
  }
  return cudaStreamSynchronize(s.stream);
}

int fault() {
  const Shared s;
  set<<<1, 1, 0, s.stream>>>(nullptr, 1);
  while (cudaStreamQuery(s.stream) == cudaErrorNotReady) {
  }
  return 1;
}

/// Never ends by itself.
void begin_serving(const Shared& s) {
  serve<<<1, 1, 0, s.stream>>>(s.request(), s.answer(), 2);
  cudaStreamQuery(s.stream);
  ask(s, 1, [] { return true; });  // it runs
}

int end_at_once() {
  begin_serving(*new Shared);
  _exit(5);
}

int fork_beside() {
  const Shared s;
  begin_serving(s);
  const pid_t child = fork();
  if (child == 0) std::exit(cudaStreamQuery(s.stream) == cudaErrorInitializationError ? 0 : 3);
  int status = 0;
  waitpid(child, &status, 0);
  *s.request() = 2;
  const cudaError_t error = cudaStreamSynchronize(s.stream);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0 || error || *s.answer() != 20;
}

/// The kernel runs when main is over, and works on what goes then.
struct Late {
  int* x = nullptr;
  ~Late() {
    if (!x) return;
    int got = 0;
    cudaMemcpy(&got, x, sizeof got, cudaMemcpyDeviceToHost);
    cudaFree(x);
    std::printf("the kernel wrote %d\n", got);
  }
} late;

int* begin_long() {
  static int* x = nullptr;
  cudaMalloc(&x, sizeof *x);
  take_long<<<1, 1>>>(x);
  cudaStreamQuery(nullptr);
  usleep(10'000);
  return x;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  const auto is = [&](const char* name) { return std::strcmp(what, name) == 0; };
  if (is("query")) return query();
  if (is("memory")) return memory();
  if (is("fault")) return fault();
  if (is("end_at_once")) return end_at_once();
  if (is("fork")) return fork_beside();
  if (is("destructor")) late.x = begin_long();
  if (is("exit_error")) begin_long(), std::exit(3);
  if (is("leak")) begin_long();
  return 0;
}
