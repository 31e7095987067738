#include "simulator/api/refused.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string>

#include "simulator/api/api.h"

using namespace sim;

namespace {

cudaError_t refuse(const char* call) {
  if (std::find(std::begin(kRefused), std::end(kRefused), call) == std::end(kRefused))
    throw std::logic_error(std::string(call) + " is missing in the list of refused functions");
  return api(call, [](Lock&) { fail(cudaErrorNotSupported); });
}

}  // namespace

SIM_API cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t*, void*) { return refuse(__func__); }
SIM_API cudaError_t cudaIpcOpenMemHandle(void**, cudaIpcMemHandle_t, unsigned) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaIpcCloseMemHandle(void*) { return refuse(__func__); }
SIM_API cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t*, cudaEvent_t) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaIpcOpenEventHandle(cudaEvent_t*, cudaIpcEventHandle_t) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaMemPoolExportToShareableHandle(void*, cudaMemPool_t,
                                                       cudaMemAllocationHandleType, unsigned) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaMemPoolImportFromShareableHandle(cudaMemPool_t*, void*,
                                                         cudaMemAllocationHandleType, unsigned) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaMemPoolExportPointer(cudaMemPoolPtrExportData*, void*) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaMemPoolImportPointer(void**, cudaMemPool_t, cudaMemPoolPtrExportData*) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaDeviceFlushGPUDirectRDMAWrites(cudaFlushGPUDirectRDMAWritesTarget,
                                                       cudaFlushGPUDirectRDMAWritesScope) {
  return refuse(__func__);
}
SIM_API cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle*, cudaGraph_t,
                                                     unsigned, unsigned) {
  return refuse(__func__);
}
