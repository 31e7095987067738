// What the runtime API tells about a device, from its model.
#pragma once
#include <cuda_runtime_api.h>

#include <optional>

#include "simulator/device/model.h"

namespace sim {

cudaDeviceProp properties_of(const DeviceModel& model, int device);
/// Empty for an attribute that does not exist; 0 for one that the simulator has no answer to.
std::optional<int> attribute_of(const DeviceModel& model, int device, cudaDeviceAttr attribute);

}  // namespace sim
