// An engine for tests of the API: kernels are functions of the test, modules a few lines of text.
#pragma once
#include <cuda_runtime_api.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "simulator/run/launch.h"

namespace fake {

using Body = std::function<void(const sim::Launch&)>;
/// What a kernel of that name does.
std::map<std::string, Body>& bodies();
/// The value of a parameter.
template <class T>
T param(const sim::Launch& launch, size_t offset) {
  T value;
  std::memcpy(&value, launch.params.data() + offset, sizeof value);
  return value;
}

/// A module in the program, as nvcc's start-up code registers it. Its text has lines
///   kernel NAME STATIC_SHARED REGISTERS MAX_THREADS PARAM_BYTES...
///   variable NAME BYTES    managed NAME BYTES
class Module {
 public:
  explicit Module(std::string text);
  ~Module();
  void kernel(const void* stub, const char* name);
  void variable(void* host, const char* name, size_t bytes);
  void managed(void** host, const char* name, size_t bytes);
  void** handle = nullptr;

 private:
  std::string text_;
  struct {
    uint32_t magic = 0x466243b1, version = 1;
    const void* container = nullptr;
    const void* extra = nullptr;
  } wrapper_;
};

/// Three kernels and three variables that most tests use.
///   add(int* p, int n)   *p += n        set(int* p, int n)   *p = n        nothing()
struct Fixture {
  Fixture();
  ~Fixture();
  Module module;
  static void add();
  static void set();
  static void nothing();
  static void unknown();  // registered, but not in the module
  cudaError_t launch(void (*stub)(), int* p, int n, cudaStream_t stream = nullptr);
  static int number;    // __device__ int
  static int* managed;  // __managed__ int
};

}  // namespace fake
