// Access between devices: a kernel that reaches another device's memory without it is a fault.
// Copies need none, as all devices share one window of addresses.
#include "simulator/api/api.h"
#include "simulator/device/model.h"
#include "simulator/device/settings.h"
#include "simulator/memory/memory.h"

using namespace sim;

namespace {

uint8_t memory_of(int device) { return uint8_t(kFirstDevice + device); }

/// Work that was asked for before has run with what it could reach then.
void change_access(Lock& lock, int peer, bool yes) {
  Executor::get().wait_all(lock, current_device());
  let_reach(current_device(), memory_of(peer), yes);
}

/// What a link such as NVLink does on the far side: whole numbers, exchanges, and sums of reals.
unsigned atomic_capabilities(cudaAtomicOperation operation) {
  check(operation >= cudaAtomicOperationIntegerAdd && operation <= cudaAtomicOperationFloatMax,
        cudaErrorInvalidValue);
  constexpr unsigned kSizes = cudaAtomicCapabilityScalar32 | cudaAtomicCapabilityScalar64;
  constexpr unsigned kSigns = cudaAtomicCapabilitySigned | cudaAtomicCapabilityUnsigned;
  if (operation == cudaAtomicOperationFloatMin || operation == cudaAtomicOperationFloatMax)
    return 0;
  if (operation == cudaAtomicOperationFloatAdd) return kSizes | cudaAtomicCapabilityReduction;
  if (operation == cudaAtomicOperationExchange || operation == cudaAtomicOperationCAS)
    return kSizes | cudaAtomicCapabilityUnsigned;
  if (operation == cudaAtomicOperationIntegerIncrement ||
      operation == cudaAtomicOperationIntegerDecrement)
    return cudaAtomicCapabilityScalar32 | cudaAtomicCapabilityUnsigned |
           cudaAtomicCapabilityReduction;
  const bool bits = operation >= cudaAtomicOperationAnd && operation <= cudaAtomicOperationXOR;
  return kSizes | cudaAtomicCapabilityReduction |
         (bits ? unsigned(cudaAtomicCapabilityUnsigned) : kSigns);
}

void fill_capabilities(unsigned* out, const cudaAtomicOperation* operations, unsigned count,
                       bool native) {
  check(out && operations && count > 0, cudaErrorInvalidValue);
  for (unsigned i = 0; i < count; i++) {
    const unsigned all = atomic_capabilities(operations[i]);
    out[i] = native ? all : 0;
  }
}

}  // namespace

/// The way to the host is PCIe: none is native, as cudaDevAttrHostNativeAtomicSupported says.
SIM_API cudaError_t cudaDeviceGetHostAtomicCapabilities(unsigned* capabilities,
                                                        const cudaAtomicOperation* operations,
                                                        unsigned count, int device) {
  return api(__func__, [&](Lock&) {
    check_device(device);
    fill_capabilities(capabilities, operations, count, false);
  });
}

SIM_API cudaError_t cudaDeviceGetP2PAtomicCapabilities(unsigned* capabilities,
                                                       const cudaAtomicOperation* operations,
                                                       unsigned count, int source,
                                                       int destination) {
  return api(__func__, [&](Lock&) {
    check_device(source);
    check_device(destination);
    check(source != destination, cudaErrorInvalidDevice);
    fill_capabilities(capabilities, operations, count, device_model().peers);
  });
}

SIM_API cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return api(__func__, [&](Lock&) {
    check(can, cudaErrorInvalidValue);
    check_device(device);
    check_device(peer);
    *can = device != peer && device_model().peers;
  });
}

SIM_API cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  return api(__func__, [&](Lock& lock) {
    check_device(peer);
    check(flags == 0, cudaErrorInvalidValue);
    check(peer != current_device(), cudaErrorInvalidDevice);
    check(device_model().peers, cudaErrorPeerAccessUnsupported);
    check(!reaches(current_device(), memory_of(peer)), cudaErrorPeerAccessAlreadyEnabled);
    change_access(lock, peer, true);
  });
}

SIM_API cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  return api(__func__, [&](Lock& lock) {
    check_device(peer);
    const bool enabled = peer != current_device() && reaches(current_device(), memory_of(peer));
    check(enabled, cudaErrorPeerAccessNotEnabled);
    change_access(lock, peer, false);
  });
}

SIM_API cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr attribute, int source,
                                              int destination) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    check_device(source);
    check_device(destination);
    check(source != destination, cudaErrorInvalidDevice);
    check(attribute >= cudaDevP2PAttrPerformanceRank &&
              attribute <= cudaDevP2PAttrOnlyPartialNativeAtomicSupported,
          cudaErrorInvalidValue);
    const bool yes = attribute == cudaDevP2PAttrAccessSupported ||
                     attribute == cudaDevP2PAttrNativeAtomicSupported;
    *value = yes && device_model().peers;
  });
}
