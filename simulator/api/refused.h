// Functions that answer with a documented code that they are not supported, as the device's
// attributes say too: a program can go another way.
#pragma once
#include <string_view>

namespace sim {

inline constexpr std::string_view kRefused[] = {
    "cudaDeviceFlushGPUDirectRDMAWrites",
    "cudaGraphConditionalHandleCreate",
    "cudaIpcCloseMemHandle",
    "cudaIpcGetEventHandle",
    "cudaIpcGetMemHandle",
    "cudaIpcOpenEventHandle",
    "cudaIpcOpenMemHandle",
    "cudaMemPoolExportPointer",
    "cudaMemPoolExportToShareableHandle",
    "cudaMemPoolImportFromShareableHandle",
    "cudaMemPoolImportPointer",
};

}  // namespace sim
