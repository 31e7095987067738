// Kernel launches and host functions.
#include "simulator/api/launch.h"

#include <algorithm>
#include <cstring>

#include "simulator/api/api.h"
#include "simulator/device/model.h"
#include "simulator/device/occupancy.h"
#include "simulator/stream/capture.h"
#include "simulator/stream/stream.h"

using namespace sim;

namespace sim {
namespace {

void check_shape(const DeviceModel& m, const dim3& grid, const dim3& block) {
  check(grid.x && grid.y && grid.z && block.x && block.y && block.z, cudaErrorInvalidConfiguration);
  check(grid.x <= m.grid_x && grid.y <= m.grid_y && grid.z <= m.grid_z,
        cudaErrorInvalidConfiguration);
  check(block.x <= m.block_x && block.y <= m.block_y && block.z <= m.block_z,
        cudaErrorInvalidConfiguration);
  check(uint64_t(block.x) * block.y * block.z <= m.threads_per_block,
        cudaErrorInvalidConfiguration);
}

Dim3 dim(const dim3& d) { return {d.x, d.y, d.z}; }

}  // namespace

uint64_t allowed_dynamic_shared(const Kernel& kernel, const KernelInfo& info, int device) {
  auto it = kernel.dynamic_shared.find(device);
  if (it != kernel.dynamic_shared.end()) return uint64_t(it->second);
  const uint64_t plain = device_model().shared_per_block;
  return plain - std::min(plain, info.static_shared);
}

int resident_blocks(const KernelInfo& info, uint32_t registers, int threads,
                    uint64_t dynamic_shared) {
  if (threads < 1 || uint32_t(threads) > info.max_threads) return 0;
  return occupancy_of(device_model(),
                      {uint32_t(threads), registers, info.static_shared + dynamic_shared})
      .blocks;
}

namespace {

/// What is known of the registers, 0 for nothing. To ask takes a while, and an estimate alone
/// refuses nothing: asked is where much hangs on it, the size of a cooperative grid or whether a
/// block fits, which the estimate doubts.
uint32_t registers_of(const LoadedKernel& k, uint32_t threads, bool cooperative) {
  const DeviceModel& m = device_model();
  if (const auto known = known_resources(*k.program, k.info)) return known->registers;
  if (!cooperative && threads <= threads_by_registers(m, k.info.registers)) return 0;
  const Resources r = resources_of(*k.program, k.info, m.arch());
  return r.exact || cooperative ? r.registers : 0;
}

}  // namespace

KernelOp prepare_launch(const void* function, int device, dim3 grid, dim3 block, void** args,
                        uint64_t shared, bool cooperative) {
  const DeviceModel& m = device_model();
  LoadedKernel k = load_kernel(function, device);
  check_shape(m, grid, block);
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  // Over the kernel's own bound (__launch_bounds__), which cards answer so, though no manual names
  // the error; then over what the registers allow.
  check(threads <= k.info.max_threads, cudaErrorInvalidValue);
  const uint32_t registers = registers_of(k, uint32_t(threads), cooperative);
  check(threads <= threads_by_registers(m, registers), cudaErrorLaunchOutOfResources);
  check(shared <= allowed_dynamic_shared(k.kernel, k.info, device), cudaErrorInvalidValue);
  const uint64_t room =
      uint64_t(resident_blocks(k.info, registers, int(threads), shared)) * uint64_t(m.sms);
  check(!cooperative || dim(grid).count() <= room, cudaErrorCooperativeLaunchTooLarge);

  KernelOp op;
  op.function = function;
  op.launch.kernel = k.kernel.name;
  op.launch.grid = dim(grid);
  op.launch.block = dim(block);
  op.launch.dynamic_shared = shared;
  op.launch.resident = room;
  op.launch.cooperative = cooperative;
  op.launch.params.resize(k.info.param_bytes);
  for (size_t i = 0; i < k.info.param_sizes.size(); i++) {
    check(args && args[i], cudaErrorInvalidValue);
    std::memcpy(op.launch.params.data() + k.info.param_offsets[i], args[i], k.info.param_sizes[i]);
  }
  op.launch.program = std::move(k.program);
  return op;
}

namespace {

/// A kernel goes to a stream of the current device only.
void launch_on(cudaStream_t handle, const void* function, dim3 grid, dim3 block, void** args,
               uint64_t shared, bool cooperative) {
  const int device = current_device();
  Stream& stream = find_stream(handle, device);
  check(stream.device == device, cudaErrorInvalidResourceHandle);
  enqueue(stream,
          {device, prepare_launch(function, device, grid, block, args, shared, cooperative)});
}

struct Attributes {
  bool cooperative = false;
};

/// What a launch without clusters can take; hints are accepted and have no effect.
Attributes read_attributes(const cudaLaunchConfig_t& config) {
  Attributes found;
  for (unsigned i = 0; i < config.numAttrs; i++) {
    const cudaLaunchAttribute& a = config.attrs[i];
    if (a.id == cudaLaunchAttributeCooperative) found.cooperative = a.val.cooperative != 0;
    if (a.id != cudaLaunchAttributeClusterDimension) continue;
    const auto& c = a.val.clusterDim;
    check(c.x <= 1 && c.y <= 1 && c.z <= 1, cudaErrorNotSupported);
  }
  return found;
}

/// A callback of cudaStreamAddCallback, kept until it was called.
struct Callback {
  cudaStreamCallback_t function;
  cudaStream_t stream;
  void* data;
};

void call_back(void* data) {
  std::unique_ptr<Callback> callback(static_cast<Callback*>(data));
  callback->function(callback->stream, cudaSuccess, callback->data);
}

}  // namespace
}  // namespace sim

SIM_API cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** args,
                                     size_t shared, cudaStream_t stream) {
  return api(__func__,
             [&](Lock&) { launch_on(stream, function, grid, block, args, shared, false); });
}

SIM_API cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                                void** args, size_t shared, cudaStream_t stream) {
  return api(__func__,
             [&](Lock&) { launch_on(stream, function, grid, block, args, shared, true); });
}

SIM_API cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                        void** args) {
  return api(__func__, [&](Lock&) {
    check(config && (config->numAttrs == 0 || config->attrs), cudaErrorInvalidValue);
    launch_on(config->stream, function, config->gridDim, config->blockDim, args,
              config->dynamicSmemBytes, read_attributes(*config).cooperative);
  });
}

SIM_API cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return api(__func__, [&](Lock&) {
    check(function, cudaErrorInvalidValue);
    Stream& s = find_stream(stream, current_device());
    enqueue(s, {s.device, HostOp{function, data}});
  });
}

SIM_API cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t function,
                                          void* data, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check(function && flags == 0, cudaErrorInvalidValue);
    Stream& s = find_stream(stream, current_device());
    if (s.capture) check_sync(s);  // not in a graph
    enqueue(s, {s.device, HostOp{call_back, new Callback{function, stream, data}}});
  });
}
