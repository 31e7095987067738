// Copies and sets.
#include <algorithm>

#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/device/settings.h"
#include "simulator/memory/memory.h"
#include "simulator/stream/capture.h"
#include "simulator/stream/stream.h"

using namespace sim;

namespace sim {
namespace {

uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

enum class Where { pageable, pinned, managed, device };

Where where(uint64_t address) {
  if (!in_device_window(address)) return is_registered(address) ? Where::pinned : Where::pageable;
  const auto a = find_allocation(address);
  if (a && a->kind == MemoryKind::pinned) return Where::pinned;
  return a && a->kind == MemoryKind::managed ? Where::managed : Where::device;
}

void check_range(const char* call, bool writes, const Place& place, const Box& box) {
  if (within_allocation(place, box)) return;
  check(settings().checks, cudaErrorInvalidValue);
  const uint64_t end = place.row(box.height - 1, box.depth - 1) + box.width;
  report_access(call, writes, place.address, end - place.address);
}

void check_pitch(const Place& place, const Box& box) {
  check(box.height <= 1 || place.pitch >= box.width, cudaErrorInvalidPitchValue);
}

}  // namespace

void take_source(Copy& copy) {
  const Box box = copy.box;
  if (box.bytes() == 0) return;
  auto bytes = std::make_shared<std::vector<uint8_t>>(box.bytes());
  Copy now = copy;
  now.dst = {address_of(bytes->data()), box.width, box.width * box.height};
  run_copy(now);
  copy.src = now.dst;
  copy.held = std::move(bytes);
}

void check_copy(const Copy& copy, cudaMemcpyKind kind) {
  check(kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault, cudaErrorInvalidMemcpyDirection);
  if (copy.box.bytes() == 0) return;
  check(copy.dst.address && copy.src.address, cudaErrorInvalidValue);
  check_pitch(copy.dst, copy.box);
  check_pitch(copy.src, copy.box);
  const Where dst = where(copy.dst.address), src = where(copy.src.address);
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind != cudaMemcpyDefault) {
    check(dst != (to_device ? Where::pageable : Where::device), cudaErrorInvalidValue);
    check(src != (from_device ? Where::pageable : Where::device), cudaErrorInvalidValue);
  }
  check_range(copy.call, true, copy.dst, copy.box);
  check_range(copy.call, false, copy.src, copy.box);
}

void check_fill(const Fill& fill) {
  if (fill.box.bytes() == 0) return;
  check(fill.dst.address && where(fill.dst.address) != Where::pageable, cudaErrorInvalidValue);
  check_pitch(fill.dst, fill.box);
  check_range(fill.call, true, fill.dst, fill.box);
}

void submit_copy(Lock& lock, Stream& stream, Copy copy, bool async) {
  if (!async) check_sync(stream);
  if (copy.box.bytes() == 0) return;
  const Where dst = where(copy.dst.address), src = where(copy.src.address);
  const bool inside = dst == Where::device && src == Where::device;
  const bool pageable_out = dst == Where::pageable;
  const bool wait = async ? pageable_out : !inside;
  if (async && src == Where::pageable && !stream.capture) take_source(copy);
  const TaskPtr task = enqueue(stream, {stream.device, std::move(copy)});
  if (task && wait) Executor::get().wait(lock, task);
}

void submit_fill(Lock& lock, Stream& stream, Fill fill, bool async) {
  if (!async) check_sync(stream);
  if (fill.box.bytes() == 0) return;
  const bool wait = !async && where(fill.dst.address) == Where::pinned;
  const TaskPtr task = enqueue(stream, {stream.device, std::move(fill)});
  if (task && wait) Executor::get().wait(lock, task);
}

namespace {

Copy copy_1d(const char* call, void* dst, const void* src, size_t bytes) {
  return {{address_of(dst), bytes, bytes}, {address_of(src), bytes, bytes}, {bytes}, call, nullptr};
}

Copy copy_2d(const char* call, void* dst, size_t dst_pitch, const void* src, size_t src_pitch,
             size_t width, size_t height) {
  return {{address_of(dst), dst_pitch, dst_pitch * height},
          {address_of(src), src_pitch, src_pitch * height},
          {width, height},
          call,
          nullptr};
}

/// Also where there is one row only.
void check_pitches(size_t dst, size_t src, size_t width) {
  check(width <= dst && width <= src, cudaErrorInvalidPitchValue);
}

Place place_of(const cudaPitchedPtr& p, const cudaPos& at) {
  const size_t slice = p.pitch * p.ysize;
  return {address_of(p.ptr) + at.x + at.y * p.pitch + at.z * slice, p.pitch, slice};
}

template <class Parameters>
Copy copy_3d(const char* call, const Parameters* p) {
  check(p, cudaErrorInvalidValue);
  check(!p->srcArray && !p->dstArray, cudaErrorNotSupported);  // arrays are not simulated
  const cudaExtent& e = p->extent;
  return {place_of(p->dstPtr, p->dstPos),
          place_of(p->srcPtr, p->srcPos),
          {e.width, e.height, e.depth},
          call,
          nullptr};
}

cudaError_t copy(const char* call, cudaMemcpyKind kind, cudaStream_t stream, bool async,
                 const auto& make) {
  return api(call, [&](Lock& lock) {
    Copy c = make();
    Stream& s = find_stream(stream, current_device());
    check_copy(c, kind);
    submit_copy(lock, s, std::move(c), async);
  });
}

cudaError_t fill(const char* call, cudaStream_t stream, bool async, const Fill& f) {
  return api(call, [&](Lock& lock) {
    Stream& s = find_stream(stream, current_device());
    check_fill(f);
    submit_fill(lock, s, f, async);
  });
}

Fill fill_2d(const char* call, void* dst, size_t pitch, int value, size_t width, size_t height,
             size_t depth = 1, size_t slice = 0) {
  return {{address_of(dst), pitch, slice}, {width, height, depth}, uint32_t(value) & 0xff, 1, call};
}

}  // namespace
}  // namespace sim

SIM_API cudaError_t cudaMemcpy(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind) {
  return copy(__func__, kind, nullptr, false,
              [&] { return copy_1d("cudaMemcpy", dst, src, bytes); });
}

SIM_API cudaError_t cudaMemcpyAsync(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind,
                                    cudaStream_t stream) {
  return copy(__func__, kind, stream, true,
              [&] { return copy_1d("cudaMemcpyAsync", dst, src, bytes); });
}

SIM_API cudaError_t cudaMemcpy2D(void* dst, size_t dst_pitch, const void* src, size_t src_pitch,
                                 size_t width, size_t height, cudaMemcpyKind kind) {
  return copy(__func__, kind, nullptr, false, [&] {
    check_pitches(dst_pitch, src_pitch, width);
    return copy_2d("cudaMemcpy2D", dst, dst_pitch, src, src_pitch, width, height);
  });
}

SIM_API cudaError_t cudaMemcpy2DAsync(void* dst, size_t dst_pitch, const void* src,
                                      size_t src_pitch, size_t width, size_t height,
                                      cudaMemcpyKind kind, cudaStream_t stream) {
  return copy(__func__, kind, stream, true, [&] {
    check_pitches(dst_pitch, src_pitch, width);
    return copy_2d("cudaMemcpy2DAsync", dst, dst_pitch, src, src_pitch, width, height);
  });
}

SIM_API cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* p) {
  return copy(__func__, p ? p->kind : cudaMemcpyDefault, nullptr, false,
              [&] { return copy_3d("cudaMemcpy3D", p); });
}

SIM_API cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* p, cudaStream_t stream) {
  return copy(__func__, p ? p->kind : cudaMemcpyDefault, stream, true,
              [&] { return copy_3d("cudaMemcpy3DAsync", p); });
}

SIM_API cudaError_t cudaMemcpy3DPeer(const cudaMemcpy3DPeerParms* p) {
  return copy(__func__, cudaMemcpyDefault, nullptr, false,
              [&] { return copy_3d("cudaMemcpy3DPeer", p); });
}

SIM_API cudaError_t cudaMemcpy3DPeerAsync(const cudaMemcpy3DPeerParms* p, cudaStream_t stream) {
  return copy(__func__, cudaMemcpyDefault, stream, true,
              [&] { return copy_3d("cudaMemcpy3DPeerAsync", p); });
}

SIM_API cudaError_t cudaMemcpyPeer(void* dst, int dst_device, const void* src, int src_device,
                                   size_t bytes) {
  return copy(__func__, cudaMemcpyDefault, nullptr, false, [&] {
    check_device(dst_device);
    check_device(src_device);
    return copy_1d("cudaMemcpyPeer", dst, src, bytes);
  });
}

SIM_API cudaError_t cudaMemcpyPeerAsync(void* dst, int dst_device, const void* src, int src_device,
                                        size_t bytes, cudaStream_t stream) {
  return copy(__func__, cudaMemcpyDefault, stream, true, [&] {
    check_device(dst_device);
    check_device(src_device);
    return copy_1d("cudaMemcpyPeerAsync", dst, src, bytes);
  });
}

SIM_API cudaError_t cudaMemset(void* dst, int value, size_t bytes) {
  return fill(__func__, nullptr, false, fill_2d("cudaMemset", dst, bytes, value, bytes, 1));
}

SIM_API cudaError_t cudaMemsetAsync(void* dst, int value, size_t bytes, cudaStream_t stream) {
  return fill(__func__, stream, true, fill_2d("cudaMemsetAsync", dst, bytes, value, bytes, 1));
}

SIM_API cudaError_t cudaMemset2D(void* dst, size_t pitch, int value, size_t width, size_t height) {
  return fill(__func__, nullptr, false, fill_2d("cudaMemset2D", dst, pitch, value, width, height));
}

SIM_API cudaError_t cudaMemset2DAsync(void* dst, size_t pitch, int value, size_t width,
                                      size_t height, cudaStream_t stream) {
  return fill(__func__, stream, true,
              fill_2d("cudaMemset2DAsync", dst, pitch, value, width, height));
}

SIM_API cudaError_t cudaMemset3D(cudaPitchedPtr p, int value, cudaExtent e) {
  return fill(__func__, nullptr, false,
              fill_2d("cudaMemset3D", p.ptr, p.pitch, value, e.width, e.height, e.depth,
                      p.pitch * p.ysize));
}

SIM_API cudaError_t cudaMemset3DAsync(cudaPitchedPtr p, int value, cudaExtent e,
                                      cudaStream_t stream) {
  return fill(__func__, stream, true,
              fill_2d("cudaMemset3DAsync", p.ptr, p.pitch, value, e.width, e.height, e.depth,
                      p.pitch * p.ysize));
}
