// Access between devices. All simulated devices share one window of addresses, so it always works.
#include <set>

#include "simulator/api/api.h"
#include "simulator/device/settings.h"

using namespace sim;

namespace {

std::set<std::pair<int, int>>& enabled() {
  static auto* const pairs = new std::set<std::pair<int, int>>;
  return *pairs;
}

}  // namespace

SIM_API cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return api(__func__, [&](Lock&) {
    check(can, cudaErrorInvalidValue);
    check_device(device);
    check_device(peer);
    *can = device != peer;
  });
}

SIM_API cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check(flags == 0, cudaErrorInvalidValue);
    check_device(peer);
    check(peer != current_device(), cudaErrorInvalidDevice);
    check(enabled().emplace(current_device(), peer).second, cudaErrorPeerAccessAlreadyEnabled);
  });
}

SIM_API cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  return api(__func__, [&](Lock&) {
    check_device(peer);
    check(enabled().erase({current_device(), peer}) > 0, cudaErrorPeerAccessNotEnabled);
  });
}

SIM_API cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr attribute, int source,
                                              int destination) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    check_device(source);
    check_device(destination);
    check(source != destination, cudaErrorInvalidDevice);
    const bool yes = attribute == cudaDevP2PAttrAccessSupported ||
                     attribute == cudaDevP2PAttrNativeAtomicSupported;
    *value = yes;
  });
}
