//! Errors of the driver.

use super::*;

#[test]
fn memory_is_limited() {
    on_stand_in("driver::errors::memory_is_limited", &[("STAND_IN_MEMORY", "1048576")], || {
        let context = context();
        assert_eq!(context.total_mem(), Ok(1 << 20));
        let stream = context.new_stream().unwrap();
        let most = room::<u8>(&stream, 1_000_000);
        let (free, total) = context.mem_get_info().unwrap();
        assert!(free <= total - 1_000_000, "{free} of {total}");
        assert_eq!(code(try_room::<u8>(&stream, free + 1)), CUDA_ERROR_OUT_OF_MEMORY);
        drop(most);
        assert_eq!(code(try_room::<u8>(&stream, free + 1)), CUDA_ERROR_OUT_OF_MEMORY, "queued");
        stream.synchronize().unwrap();
        room::<u8>(&stream, free + 1);
    });
}

#[test]
fn devices_match_the_settings() {
    let settings = [
        ("STAND_IN_DEVICES", "2"),
        ("STAND_IN_CAPABILITY", "8.6"),
        ("STAND_IN_DRIVER_VERSION", "12040"),
    ];
    on_stand_in("driver::errors::devices_match_the_settings", &settings, || {
        assert_eq!(CudaContext::device_count(), Ok(2));
        assert_eq!(code(CudaContext::new(2)), CUDA_ERROR_INVALID_DEVICE);
        let [first, second] = [0, 1].map(|ordinal| CudaContext::new(ordinal).unwrap());
        assert_eq!(first.name().unwrap(), "PTX machine");
        assert_eq!(first.compute_capability(), Ok((8, 6)));
        let data = first.default_stream().clone_htod(&[1u64]).unwrap();
        second.bind_to_thread().unwrap();
        let [first, second] = [first, second].map(|context| context.default_stream());
        // SAFETY: the stand-in detects that the address belongs to another device.
        unsafe { result::memset_d8_async(address(&data, &first), 0, 8, second.cu_stream()) }
            .unwrap();
        assert_eq!(code(second.synchronize()), CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!(first.clone_dtoh(&data).unwrap(), [1], "the other device is still usable");
    });
}

#[test]
fn reports_missing_device() {
    on_stand_in("driver::errors::reports_missing_device", &[("STAND_IN_DEVICES", "0")], || {
        assert_eq!(code(CudaContext::new(0)), CUDA_ERROR_NO_DEVICE);
        assert_eq!(code(result::device::get_count()), CUDA_ERROR_NOT_INITIALIZED);
        let Err(error) = CudaContext::new(0) else { panic!("expected no device") };
        assert_eq!(error.error_name().unwrap(), c"CUDA_ERROR_NO_DEVICE");
        assert_eq!(error.error_string().unwrap(), c"no CUDA-capable device is detected");
    });
}

fn load(text: &str) -> CUresult {
    code(context().load_module(Ptx::from_src(text)))
}

#[test]
fn rejects_invalid_modules() {
    on_stand_in("driver::errors::rejects_invalid_modules", &[], || {
        assert_eq!(load(HEAD), CUDA_SUCCESS);
        assert_eq!(load(&HEAD.replace("shfl.sync", "shfl.unheard")), CUDA_ERROR_INVALID_PTX);
        let later = HEAD.replace(".version 8.0", ".version 8.1");
        assert_eq!(load(&later), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    });
}

#[test]
fn old_driver_rejects_newer_ptx() {
    let settings = [("STAND_IN_DRIVER_VERSION", "11080")];
    on_stand_in("driver::errors::old_driver_rejects_newer_ptx", &settings, || {
        assert_eq!(load(HEAD), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    });
}

#[test]
fn old_device_rejects_newer_ptx() {
    on_stand_in(
        "driver::errors::old_device_rejects_newer_ptx",
        &[("STAND_IN_CAPABILITY", "7.5")],
        || {
            assert_eq!(load(HEAD), CUDA_ERROR_INVALID_PTX);
        },
    );
}

#[test]
fn rejects_invalid_launches() {
    on_stand_in("driver::errors::rejects_invalid_launches", &[], || {
        let stream = context().new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        let mut launch =
            |grid, threads, bytes| code(gather.try_launch(&stream, &8, grid, threads, bytes));
        assert_eq!(launch(GRID, 128, 48 << 10), CUDA_SUCCESS);
        for (grid, threads, bytes) in [
            ((0, 1, 1), 128, 0),
            ((3, 65536, 1), 128, 0),
            (GRID, 0, 0),
            (GRID, 129, 0),
            (GRID, 128, (48 << 10) + 1),
        ] {
            let found = launch(grid, threads, bytes);
            assert_eq!(found, CUDA_ERROR_INVALID_VALUE, "{grid:?} {threads} {bytes}");
        }
        assert_eq!(gather.found(&stream), Gather::FIRST_ROWS, "a rejected launch has no effect");
        let most = gather.function.max_threads_per_block();
        assert_eq!(most, Ok(128));
        let attribute = cudarc::driver::sys::CUfunction_attribute_enum::
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        gather.function.set_attribute(attribute, 163 << 10).unwrap();
        gather.try_launch(&stream, &8, GRID, 128, 163 << 10).unwrap();
        let too_much = gather.function.set_attribute(attribute, (163 << 10) + 1);
        assert_eq!(code(too_much), CUDA_ERROR_INVALID_VALUE);
    });
}

/// A fault in a kernel destroys its context, as on hardware.
#[test]
fn faults_stay() {
    on_stand_in("driver::errors::faults_stay", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        gather.try_launch(&stream, &48, GRID, 128, 0).unwrap();
        assert_eq!(code(stream.synchronize()), CUDA_ERROR_ILLEGAL_ADDRESS);
        let told = log().pop().unwrap();
        let place = "error: gather_first_rows, block [0, 0, 0], warp 0, thread 5, PTX line";
        assert!(told.starts_with(place) && told.contains("head.cu:20"), "{told}");
        for result in [
            code(stream.synchronize()),
            code(try_room::<u8>(&stream, 8)),
            code(stream.clone_dtoh(&gather.rows)),
            code(gather.try_launch(&stream, &8, GRID, 128, 0)),
            code(context.new_stream()),
        ] {
            assert_eq!(result, CUDA_ERROR_ILLEGAL_ADDRESS);
        }
    });
}

#[test]
fn rejects_invalid_handles() {
    on_stand_in("driver::errors::rejects_invalid_handles", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        let graph = capture(&stream, || gather.launch(&stream));
        let [gone, event] = [(); 2].map(|()| context.new_stream().unwrap());
        let gone = {
            let handle = gone.cu_stream();
            drop(gone);
            handle
        };
        // SAFETY: the stand-in detects destroyed handles.
        let call = unsafe { result::stream::synchronize(gone) };
        assert_eq!(code(call), CUDA_ERROR_INVALID_HANDLE);
        // SAFETY: as above.
        let call = unsafe { result::event::synchronize(event.cu_stream().cast()) };
        assert_eq!(code(call), CUDA_ERROR_INVALID_HANDLE, "a stream is not an event");
        let module = context.load_module(Ptx::from_src(HEAD)).unwrap();
        assert_eq!(code(module.load_function("none")), CUDA_ERROR_NOT_FOUND);

        // SAFETY: the stand-in tracks the owner of each context.
        let without_context = || code(unsafe { result::malloc_sync(8) });
        let found = thread::spawn(without_context).join().unwrap();
        assert_eq!(found, CUDA_ERROR_INVALID_CONTEXT);

        let at = address(&gather.rows, &stream);
        // SAFETY: `gather.rows` is leaked below; the stand-in detects the double free.
        unsafe { result::free_async(at, stream.cu_stream()) }.unwrap();
        // SAFETY: as above.
        let again = unsafe { result::free_async(at, stream.cu_stream()) };
        assert_eq!(code(again), CUDA_ERROR_INVALID_VALUE);

        let Gather { function, rows, .. } = gather;
        rows.leak();
        drop(function);
        assert_eq!(code(graph.launch()), CUDA_ERROR_INVALID_HANDLE, "its module was unloaded");
    });
}
