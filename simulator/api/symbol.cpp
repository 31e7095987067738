// __device__, __constant__ and __managed__ variables.
#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/api/registry.h"
#include "simulator/stream/stream.h"

using namespace sim;

uint64_t sim::part_of_symbol(const void* symbol, size_t bytes, size_t offset, int device) {
  const VariableInfo v = load_variable(symbol, device);
  check(offset <= v.bytes && bytes <= v.bytes - offset, cudaErrorInvalidValue);
  return v.address + offset;
}

namespace {

uint64_t part_of(const void* symbol, size_t bytes, size_t offset) {
  return part_of_symbol(symbol, bytes, offset, current_device());
}

Copy copy_of(const char* call, uint64_t dst, uint64_t src, size_t bytes) {
  return {{dst, bytes, bytes}, {src, bytes, bytes}, {bytes}, call, nullptr};
}

cudaError_t to_symbol(const char* call, const void* symbol, const void* src, size_t bytes,
                      size_t offset, cudaMemcpyKind kind, cudaStream_t stream, bool async) {
  return api(call, [&](Lock& lock) {
    check(kind != cudaMemcpyDeviceToHost && kind != cudaMemcpyHostToHost,
          cudaErrorInvalidMemcpyDirection);
    Copy c = copy_of(call, part_of(symbol, bytes, offset), reinterpret_cast<uint64_t>(src), bytes);
    check_copy(c, kind);
    submit_copy(lock, find_stream(stream, current_device()), std::move(c), async);
  });
}

cudaError_t from_symbol(const char* call, void* dst, const void* symbol, size_t bytes,
                        size_t offset, cudaMemcpyKind kind, cudaStream_t stream, bool async) {
  return api(call, [&](Lock& lock) {
    check(kind != cudaMemcpyHostToDevice && kind != cudaMemcpyHostToHost,
          cudaErrorInvalidMemcpyDirection);
    Copy c = copy_of(call, reinterpret_cast<uint64_t>(dst), part_of(symbol, bytes, offset), bytes);
    check_copy(c, kind);
    submit_copy(lock, find_stream(stream, current_device()), std::move(c), async);
  });
}

}  // namespace

SIM_API cudaError_t cudaGetSymbolAddress(void** pointer, const void* symbol) {
  return api(__func__, [&](Lock&) {
    check(pointer, cudaErrorInvalidValue);
    *pointer = reinterpret_cast<void*>(load_variable(symbol, current_device()).address);
  });
}

SIM_API cudaError_t cudaGetSymbolSize(size_t* bytes, const void* symbol) {
  return api(__func__, [&](Lock&) {
    check(bytes, cudaErrorInvalidValue);
    *bytes = load_variable(symbol, current_device()).bytes;
  });
}

SIM_API cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* src, size_t bytes,
                                       size_t offset, cudaMemcpyKind kind) {
  return to_symbol("cudaMemcpyToSymbol", symbol, src, bytes, offset, kind, nullptr, false);
}

SIM_API cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* src, size_t bytes,
                                            size_t offset, cudaMemcpyKind kind,
                                            cudaStream_t stream) {
  return to_symbol("cudaMemcpyToSymbolAsync", symbol, src, bytes, offset, kind, stream, true);
}

SIM_API cudaError_t cudaMemcpyFromSymbol(void* dst, const void* symbol, size_t bytes, size_t offset,
                                         cudaMemcpyKind kind) {
  return from_symbol("cudaMemcpyFromSymbol", dst, symbol, bytes, offset, kind, nullptr, false);
}

SIM_API cudaError_t cudaMemcpyFromSymbolAsync(void* dst, const void* symbol, size_t bytes,
                                              size_t offset, cudaMemcpyKind kind,
                                              cudaStream_t stream) {
  return from_symbol("cudaMemcpyFromSymbolAsync", dst, symbol, bytes, offset, kind, stream, true);
}
