// Many copies, prefetches or discards by one call.
#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/memory/memory.h"
#include "simulator/stream/stream.h"

using namespace sim;

namespace {

/// A batch does not go to the legacy stream.
Stream& stream_of(cudaStream_t handle) {
  Stream& s = find_stream(handle, current_device());
  check(!s.legacy, cudaErrorInvalidValue);
  return s;
}

void check_order(cudaMemcpySrcAccessOrder order) {
  check(order >= cudaMemcpySrcAccessOrderStream && order <= cudaMemcpySrcAccessOrderAny,
        cudaErrorInvalidValue);
}

/// Each entry of a list of attributes is for the copies from its index on.
void check_indices(const size_t* first, size_t lists, size_t count) {
  check(first && lists > 0 && lists <= count && first[0] == 0, cudaErrorInvalidValue);
  for (size_t i = 1; i < lists; i++)
    check(first[i] > first[i - 1] && first[i] < count, cudaErrorInvalidValue);
}

void submit(Lock& lock, Stream& stream, Copy copy, cudaMemcpySrcAccessOrder order) {
  check_order(order);
  check_copy(copy, cudaMemcpyDefault);
  if (order == cudaMemcpySrcAccessOrderDuringApiCall && !stream.capture) take_source(copy);
  submit_copy(lock, stream, std::move(copy), true);
}

Place place_of(const cudaMemcpy3DOperand& o, const cudaExtent& e) {
  check(o.type == cudaMemcpyOperandTypePointer, cudaErrorNotSupported);  // arrays
  const size_t row = o.op.ptr.rowLength ? o.op.ptr.rowLength : e.width;
  const size_t rows = o.op.ptr.layerHeight ? o.op.ptr.layerHeight : e.height;
  return {reinterpret_cast<uint64_t>(o.op.ptr.ptr), row, row * rows};
}

/// Managed memory lies where it lies: nothing moves.
void check_managed(void** pointers, const size_t* sizes, size_t count, unsigned long long flags) {
  check(pointers && sizes && count > 0 && flags == 0, cudaErrorInvalidValue);
  for (size_t i = 0; i < count; i++) check_managed_range(pointers[i], sizes[i]);
}

cudaError_t prefetch(const char* call, void** pointers, size_t* sizes, size_t count,
                     cudaMemLocation* where, size_t* first, size_t places, unsigned long long flags,
                     cudaStream_t stream) {
  return api(call, [&](Lock&) {
    check_managed(pointers, sizes, count, flags);
    check(where, cudaErrorInvalidValue);
    check_indices(first, places, count);
    for (size_t i = 0; i < places; i++)
      if (where[i].type == cudaMemLocationTypeDevice) check_device(where[i].id);
    Stream& s = stream_of(stream);
    for (size_t i = 0, place = 0; i < count; i++) {
      if (place + 1 < places && first[place + 1] == i) place++;
      note_prefetch(pointers[i], sizes[i], where[place]);
    }
    enqueue(s, {s.device, {}});
  });
}

}  // namespace

SIM_API cudaError_t cudaMemcpyBatchAsync(void* const* dsts, const void* const* srcs,
                                         const size_t* sizes, size_t count,
                                         cudaMemcpyAttributes* attributes, size_t* first,
                                         size_t lists, cudaStream_t stream) {
  return api(__func__, [&](Lock& lock) {
    check(dsts && srcs && sizes && attributes && count > 0, cudaErrorInvalidValue);
    check_indices(first, lists, count);
    Stream& s = stream_of(stream);
    for (size_t i = 0, list = 0; i < count; i++) {
      if (list + 1 < lists && first[list + 1] == i) list++;
      const Place dst{reinterpret_cast<uint64_t>(dsts[i]), sizes[i], sizes[i]};
      const Place src{reinterpret_cast<uint64_t>(srcs[i]), sizes[i], sizes[i]};
      submit(lock, s, {dst, src, {sizes[i]}, "cudaMemcpyBatchAsync", nullptr},
             attributes[list].srcAccessOrder);
    }
  });
}

SIM_API cudaError_t cudaMemcpy3DBatchAsync(size_t count, cudaMemcpy3DBatchOp* list,
                                           unsigned long long flags, cudaStream_t stream) {
  return api(__func__, [&](Lock& lock) {
    check(count > 0 && list && flags == 0, cudaErrorInvalidValue);
    Stream& s = stream_of(stream);
    for (size_t i = 0; i < count; i++) {
      const cudaExtent& e = list[i].extent;
      check(e.width && e.height && e.depth, cudaErrorInvalidValue);
      submit(lock, s,
             {place_of(list[i].dst, e),
              place_of(list[i].src, e),
              {e.width, e.height, e.depth},
              "cudaMemcpy3DBatchAsync",
              nullptr},
             list[i].srcAccessOrder);
    }
  });
}

SIM_API cudaError_t cudaMemPrefetchBatchAsync(void** pointers, size_t* sizes, size_t count,
                                              cudaMemLocation* where, size_t* first, size_t places,
                                              unsigned long long flags, cudaStream_t stream) {
  return prefetch(__func__, pointers, sizes, count, where, first, places, flags, stream);
}

SIM_API cudaError_t cudaMemDiscardAndPrefetchBatchAsync(void** pointers, size_t* sizes,
                                                        size_t count, cudaMemLocation* where,
                                                        size_t* first, size_t places,
                                                        unsigned long long flags,
                                                        cudaStream_t stream) {
  return prefetch(__func__, pointers, sizes, count, where, first, places, flags, stream);
}

/// What was discarded keeps its contents, which the manual allows.
SIM_API cudaError_t cudaMemDiscardBatchAsync(void** pointers, size_t* sizes, size_t count,
                                             unsigned long long flags, cudaStream_t stream) {
  return api(__func__, [&](Lock&) {
    check_managed(pointers, sizes, count, flags);
    Stream& s = stream_of(stream);
    enqueue(s, {s.device, {}});
  });
}
