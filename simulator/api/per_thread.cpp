// What programs call that are compiled with --default-stream per-thread: the same functions, for
// which stream 0 is the calling thread's own.
#include "simulator/api/api.h"
#include "simulator/stream/stream.h"

using sim::PerThreadDefault;

SIM_API cudaError_t cudaEventRecordWithFlags_ptsz(cudaEvent_t event, cudaStream_t stream,
                                                  unsigned flags) {
  PerThreadDefault scope;
  return cudaEventRecordWithFlags(event, stream, flags);
}
SIM_API cudaError_t cudaEventRecord_ptsz(cudaEvent_t event, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaEventRecord(event, stream);
}
SIM_API cudaError_t cudaFreeAsync_ptsz(void* devPtr, cudaStream_t hStream) {
  PerThreadDefault scope;
  return cudaFreeAsync(devPtr, hStream);
}
SIM_API cudaError_t cudaGraphInstantiateWithParams_ptsz(
    cudaGraphExec_t* pGraphExec, cudaGraph_t graph, cudaGraphInstantiateParams* instantiateParams) {
  PerThreadDefault scope;
  return cudaGraphInstantiateWithParams(pGraphExec, graph, instantiateParams);
}
SIM_API cudaError_t cudaGraphLaunch_ptsz(cudaGraphExec_t graphExec, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaGraphLaunch(graphExec, stream);
}
SIM_API cudaError_t cudaGraphUpload_ptsz(cudaGraphExec_t graphExec, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaGraphUpload(graphExec, stream);
}
SIM_API cudaError_t cudaLaunchCooperativeKernel_ptsz(const void* func, dim3 gridDim, dim3 blockDim,
                                                     void** args, size_t sharedMem,
                                                     cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaLaunchCooperativeKernel(func, gridDim, blockDim, args, sharedMem, stream);
}
SIM_API cudaError_t cudaLaunchHostFunc_ptsz(cudaStream_t stream, cudaHostFn_t fn, void* userData) {
  PerThreadDefault scope;
  return cudaLaunchHostFunc(stream, fn, userData);
}
SIM_API cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t* config, const void* func,
                                             void** args) {
  PerThreadDefault scope;
  return cudaLaunchKernelExC(config, func, args);
}
SIM_API cudaError_t cudaLaunchKernel_ptsz(const void* func, dim3 gridDim, dim3 blockDim,
                                          void** args, size_t sharedMem, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaLaunchKernel(func, gridDim, blockDim, args, sharedMem, stream);
}
SIM_API cudaError_t cudaMallocAsync_ptsz(void** devPtr, size_t size, cudaStream_t hStream) {
  PerThreadDefault scope;
  return cudaMallocAsync(devPtr, size, hStream);
}
SIM_API cudaError_t cudaMallocFromPoolAsync_ptsz(void** ptr, size_t size, cudaMemPool_t memPool,
                                                 cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMallocFromPoolAsync(ptr, size, memPool, stream);
}
SIM_API cudaError_t cudaMemcpy2DAsync_ptsz(void* dst, size_t dpitch, const void* src, size_t spitch,
                                           size_t width, size_t height, cudaMemcpyKind kind,
                                           cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpy2DAsync(dst, dpitch, src, spitch, width, height, kind, stream);
}
SIM_API cudaError_t cudaMemcpy2D_ptds(void* dst, size_t dpitch, const void* src, size_t spitch,
                                      size_t width, size_t height, cudaMemcpyKind kind) {
  PerThreadDefault scope;
  return cudaMemcpy2D(dst, dpitch, src, spitch, width, height, kind);
}
SIM_API cudaError_t cudaMemcpy3DAsync_ptsz(const cudaMemcpy3DParms* p, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpy3DAsync(p, stream);
}
SIM_API cudaError_t cudaMemcpy3DPeerAsync_ptsz(const cudaMemcpy3DPeerParms* p,
                                               cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpy3DPeerAsync(p, stream);
}
SIM_API cudaError_t cudaMemcpy3DPeer_ptds(const cudaMemcpy3DPeerParms* p) {
  PerThreadDefault scope;
  return cudaMemcpy3DPeer(p);
}
SIM_API cudaError_t cudaMemcpy3D_ptds(const cudaMemcpy3DParms* p) {
  PerThreadDefault scope;
  return cudaMemcpy3D(p);
}
SIM_API cudaError_t cudaMemcpyAsync_ptsz(void* dst, const void* src, size_t count,
                                         cudaMemcpyKind kind, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpyAsync(dst, src, count, kind, stream);
}
SIM_API cudaError_t cudaMemcpyFromSymbolAsync_ptsz(void* dst, const void* symbol, size_t count,
                                                   size_t offset, cudaMemcpyKind kind,
                                                   cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpyFromSymbolAsync(dst, symbol, count, offset, kind, stream);
}
SIM_API cudaError_t cudaMemcpyFromSymbol_ptds(void* dst, const void* symbol, size_t count,
                                              size_t offset, cudaMemcpyKind kind) {
  PerThreadDefault scope;
  return cudaMemcpyFromSymbol(dst, symbol, count, offset, kind);
}
SIM_API cudaError_t cudaMemcpyToSymbolAsync_ptsz(const void* symbol, const void* src, size_t count,
                                                 size_t offset, cudaMemcpyKind kind,
                                                 cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpyToSymbolAsync(symbol, src, count, offset, kind, stream);
}
SIM_API cudaError_t cudaMemcpyToSymbol_ptds(const void* symbol, const void* src, size_t count,
                                            size_t offset, cudaMemcpyKind kind) {
  PerThreadDefault scope;
  return cudaMemcpyToSymbol(symbol, src, count, offset, kind);
}
SIM_API cudaError_t cudaMemcpy_ptds(void* dst, const void* src, size_t count, cudaMemcpyKind kind) {
  PerThreadDefault scope;
  return cudaMemcpy(dst, src, count, kind);
}
SIM_API cudaError_t cudaMemset2DAsync_ptsz(void* devPtr, size_t pitch, int value, size_t width,
                                           size_t height, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemset2DAsync(devPtr, pitch, value, width, height, stream);
}
SIM_API cudaError_t cudaMemset2D_ptds(void* devPtr, size_t pitch, int value, size_t width,
                                      size_t height) {
  PerThreadDefault scope;
  return cudaMemset2D(devPtr, pitch, value, width, height);
}
SIM_API cudaError_t cudaMemset3DAsync_ptsz(cudaPitchedPtr pitchedDevPtr, int value,
                                           cudaExtent extent, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemset3DAsync(pitchedDevPtr, value, extent, stream);
}
SIM_API cudaError_t cudaMemset3D_ptds(cudaPitchedPtr pitchedDevPtr, int value, cudaExtent extent) {
  PerThreadDefault scope;
  return cudaMemset3D(pitchedDevPtr, value, extent);
}
SIM_API cudaError_t cudaMemsetAsync_ptsz(void* devPtr, int value, size_t count,
                                         cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemsetAsync(devPtr, value, count, stream);
}
SIM_API cudaError_t cudaMemset_ptds(void* devPtr, int value, size_t count) {
  PerThreadDefault scope;
  return cudaMemset(devPtr, value, count);
}
SIM_API cudaError_t cudaStreamAddCallback_ptsz(cudaStream_t stream, cudaStreamCallback_t callback,
                                               void* userData, unsigned flags) {
  PerThreadDefault scope;
  return cudaStreamAddCallback(stream, callback, userData, flags);
}
SIM_API cudaError_t cudaStreamAttachMemAsync_ptsz(cudaStream_t stream, void* devPtr, size_t length,
                                                  unsigned flags) {
  PerThreadDefault scope;
  return cudaStreamAttachMemAsync(stream, devPtr, length, flags);
}
SIM_API cudaError_t cudaStreamBeginCaptureToGraph_ptsz(cudaStream_t stream, cudaGraph_t graph,
                                                       const cudaGraphNode_t* dependencies,
                                                       const cudaGraphEdgeData* dependencyData,
                                                       size_t numDependencies,
                                                       cudaStreamCaptureMode mode) {
  PerThreadDefault scope;
  return cudaStreamBeginCaptureToGraph(stream, graph, dependencies, dependencyData, numDependencies,
                                       mode);
}
SIM_API cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t stream, cudaStreamCaptureMode mode) {
  PerThreadDefault scope;
  return cudaStreamBeginCapture(stream, mode);
}
SIM_API cudaError_t cudaStreamCopyAttributes_ptsz(cudaStream_t dst, cudaStream_t src) {
  PerThreadDefault scope;
  return cudaStreamCopyAttributes(dst, src);
}
SIM_API cudaError_t cudaStreamEndCapture_ptsz(cudaStream_t stream, cudaGraph_t* pGraph) {
  PerThreadDefault scope;
  return cudaStreamEndCapture(stream, pGraph);
}
SIM_API cudaError_t cudaStreamGetAttribute_ptsz(cudaStream_t hStream, cudaLaunchAttributeID attr,
                                                cudaLaunchAttributeValue* value_out) {
  PerThreadDefault scope;
  return cudaStreamGetAttribute(hStream, attr, value_out);
}
SIM_API cudaError_t cudaStreamGetCaptureInfo_ptsz(
    cudaStream_t stream, cudaStreamCaptureStatus* captureStatus_out, unsigned long long* id_out,
    cudaGraph_t* graph_out, const cudaGraphNode_t** dependencies_out,
    const cudaGraphEdgeData** edgeData_out, size_t* numDependencies_out) {
  PerThreadDefault scope;
  return cudaStreamGetCaptureInfo(stream, captureStatus_out, id_out, graph_out, dependencies_out,
                                  edgeData_out, numDependencies_out);
}
SIM_API cudaError_t cudaStreamGetDevice_ptsz(cudaStream_t hStream, int* device) {
  PerThreadDefault scope;
  return cudaStreamGetDevice(hStream, device);
}
SIM_API cudaError_t cudaStreamGetFlags_ptsz(cudaStream_t hStream, unsigned* flags) {
  PerThreadDefault scope;
  return cudaStreamGetFlags(hStream, flags);
}
SIM_API cudaError_t cudaStreamGetId_ptsz(cudaStream_t hStream, unsigned long long* streamId) {
  PerThreadDefault scope;
  return cudaStreamGetId(hStream, streamId);
}
SIM_API cudaError_t cudaStreamGetPriority_ptsz(cudaStream_t hStream, int* priority) {
  PerThreadDefault scope;
  return cudaStreamGetPriority(hStream, priority);
}
SIM_API cudaError_t cudaStreamIsCapturing_ptsz(cudaStream_t stream,
                                               cudaStreamCaptureStatus* pCaptureStatus) {
  PerThreadDefault scope;
  return cudaStreamIsCapturing(stream, pCaptureStatus);
}
SIM_API cudaError_t cudaStreamQuery_ptsz(cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaStreamQuery(stream);
}
SIM_API cudaError_t cudaStreamSetAttribute_ptsz(cudaStream_t hStream, cudaLaunchAttributeID attr,
                                                const cudaLaunchAttributeValue* value) {
  PerThreadDefault scope;
  return cudaStreamSetAttribute(hStream, attr, value);
}
SIM_API cudaError_t cudaStreamSynchronize_ptsz(cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaStreamSynchronize(stream);
}
SIM_API cudaError_t cudaStreamUpdateCaptureDependencies_ptsz(
    cudaStream_t stream, cudaGraphNode_t* dependencies, const cudaGraphEdgeData* dependencyData,
    size_t numDependencies, unsigned flags) {
  PerThreadDefault scope;
  return cudaStreamUpdateCaptureDependencies(stream, dependencies, dependencyData, numDependencies,
                                             flags);
}
SIM_API cudaError_t cudaStreamWaitEvent_ptsz(cudaStream_t stream, cudaEvent_t event,
                                             unsigned flags) {
  PerThreadDefault scope;
  return cudaStreamWaitEvent(stream, event, flags);
}

SIM_API cudaError_t cudaMemPrefetchAsync_ptsz(const void* pointer, size_t bytes,
                                              cudaMemLocation location, unsigned flags,
                                              cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemPrefetchAsync(pointer, bytes, location, flags, stream);
}

SIM_API cudaError_t cudaGetDriverEntryPoint_ptsz(const char* symbol, void** function,
                                                 unsigned long long flags,
                                                 cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(symbol, function, CUDART_VERSION, flags, result);
}

SIM_API cudaError_t cudaGetDriverEntryPointByVersion_ptsz(const char* symbol, void** function,
                                                          unsigned version,
                                                          unsigned long long flags,
                                                          cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(symbol, function, version, flags, result);
}
SIM_API cudaError_t cudaMemcpyBatchAsync_ptsz(void* const* dsts, const void* const* srcs,
                                              const size_t* sizes, size_t count,
                                              cudaMemcpyAttributes* attrs, size_t* attrsIdxs,
                                              size_t numAttrs, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpyBatchAsync(dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs, stream);
}
SIM_API cudaError_t cudaMemcpy3DBatchAsync_ptsz(size_t numOps, cudaMemcpy3DBatchOp* opList,
                                                unsigned long long flags, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemcpy3DBatchAsync(numOps, opList, flags, stream);
}
SIM_API cudaError_t cudaMemPrefetchBatchAsync_ptsz(void** dptrs, size_t* sizes, size_t count,
                                                   cudaMemLocation* prefetchLocs,
                                                   size_t* prefetchLocIdxs, size_t numPrefetchLocs,
                                                   unsigned long long flags, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemPrefetchBatchAsync(dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
                                   numPrefetchLocs, flags, stream);
}
SIM_API cudaError_t cudaMemDiscardAndPrefetchBatchAsync_ptsz(
    void** dptrs, size_t* sizes, size_t count, cudaMemLocation* prefetchLocs,
    size_t* prefetchLocIdxs, size_t numPrefetchLocs, unsigned long long flags,
    cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemDiscardAndPrefetchBatchAsync(dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
                                             numPrefetchLocs, flags, stream);
}
SIM_API cudaError_t cudaMemDiscardBatchAsync_ptsz(void** dptrs, size_t* sizes, size_t count,
                                                  unsigned long long flags, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaMemDiscardBatchAsync(dptrs, sizes, count, flags, stream);
}
