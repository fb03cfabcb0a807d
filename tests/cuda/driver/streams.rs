//! Order of operations on streams.

use super::*;

#[test]
fn operations_run_only_when_waited_for() {
    on_stand_in("driver::streams::operations_run_only_when_waited_for", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let (mut from, mut to) = (pinned(&context, 1), pinned(&context, 1));
        let mut device = room(&stream, 1);
        stream.memcpy_htod(&[1], &mut device).unwrap();
        stream.memcpy_dtoh(&device, &mut to).unwrap();
        assert_eq!(to.as_slice().unwrap(), [FRESH]);
        stream.synchronize().unwrap();
        assert_eq!(to.as_slice().unwrap(), [1]);

        from.as_mut_slice().unwrap()[0] = 3;
        stream.memcpy_htod(&from, &mut device).unwrap();
        from.as_mut_slice().unwrap()[0] = 4;
        assert_eq!(
            stream.clone_dtoh(&device).unwrap(),
            [4],
            "the copy must read pinned memory when it runs"
        );
    });
}

#[test]
fn pageable_memory_must_not_change_before_its_copy() {
    on_stand_in("driver::streams::pageable_memory_must_not_change_before_its_copy", &[], || {
        let stream = context().new_stream().unwrap();
        let mut device = room(&stream, 1);
        let mut host = [1u64];
        stream.memcpy_htod(&host, &mut device).unwrap();
        // The compiler must not postpone the write.
        std::hint::black_box(&mut host)[0] = 2;
        assert_eq!(code(stream.synchronize()), CUDA_ERROR_ILLEGAL_ADDRESS);
        assert!(log().iter().any(|line| line.contains("pageable memory changed")));
    });
}

/// Another stream sees nothing unless it waits.
#[test]
fn events_synchronize_streams() {
    on_stand_in("driver::streams::events_synchronize_streams", &[], || {
        let context = context();
        let [first, second] = [(); 2].map(|()| context.new_stream().unwrap());
        let mut gather = Gather::new(&first);
        second.wait(&first.record_event(None).unwrap()).unwrap();
        gather.launch(&second);
        let event = second.record_event(None).unwrap();
        assert_eq!(event.try_is_complete(), Ok(false));
        let polls = (0..100).take_while(|_| !event.is_complete()).count();
        assert!(polls < 100, "polling must make progress");
        first.wait(&event).unwrap();
        assert_eq!(gather.found(&first), Gather::FIRST_ROWS);

        // A wait applies to the previous record of the event.
        let (event, later) = (first.record_event(None).unwrap(), pinned(&context, 1));
        second.wait(&event).unwrap();
        first.memcpy_htod(&later, &mut gather.rows).unwrap();
        event.record(&first).unwrap();
        gather.launch(&second);
        assert_eq!(gather.found(&second), Gather::FIRST_ROWS);
        event.synchronize().unwrap();
        gather.launch(&second);
        assert_eq!(gather.found(&second), [FRESH, 12, 13]);
    });
}

#[test]
fn streams_are_otherwise_independent() {
    on_stand_in("driver::streams::streams_are_otherwise_independent", &[], || {
        let context = context();
        let [first, second] = [(); 2].map(|()| context.new_stream().unwrap());
        let mut gather = Gather::new(&first);
        gather.launch(&second);
        assert_eq!(code(context.synchronize()), CUDA_ERROR_LAUNCH_FAILED);
        assert!(log().iter().any(|line| line.contains("never written")));
    });
}

#[test]
fn default_stream_is_independent() {
    on_stand_in("driver::streams::default_stream_is_independent", &[], || {
        let context = context();
        let data = context.default_stream().clone_htod(&[1u64]).unwrap();
        let stream = context.new_stream().unwrap();
        assert_eq!(code(stream.clone_dtoh(&data)), CUDA_ERROR_LAUNCH_FAILED);
    });
}

/// Uses cudarc's own synchronization of streams with events.
#[test]
fn tracked_slices_are_safe_between_streams() {
    on_stand_in("driver::streams::tracked_slices_are_safe_between_streams", &[], || {
        let context = CudaContext::new(0).unwrap();
        let [first, second] = [(); 2].map(|()| context.new_stream().unwrap());
        let mut gather = Gather::new(&first);
        gather.launch(&second);
        let mut host = pinned(&context, 3);
        first.memcpy_dtoh(&gather.first_rows, &mut host).unwrap();
        assert_eq!(host.as_slice().unwrap(), Gather::FIRST_ROWS);
        drop(gather);
        context.synchronize().unwrap();
    });
}

#[test]
fn memory_is_freed_in_stream_order() {
    on_stand_in("driver::streams::memory_is_freed_in_stream_order", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        gather.launch(&stream);
        let old = std::mem::replace(&mut gather.rows, room(&stream, 5));
        drop(old);
        assert_eq!(gather.found(&stream), Gather::FIRST_ROWS);

        // Memory that is not freed in stream order is freed after everything that is queued.
        gather.rows = stream.clone_htod(&Gather::ROWS).unwrap();
        gather.launch(&stream);
        let old = std::mem::replace(&mut gather.rows, room(&stream, 5)).leak();
        // SAFETY: freed once, and not used afterwards.
        unsafe { result::free_sync(old) }.unwrap();
        assert_eq!(gather.found(&stream), Gather::FIRST_ROWS);

        let mut host = pinned(&context, 3);
        stream.memcpy_dtoh(&gather.first_rows, &mut host).unwrap();
        drop(host);
        assert_eq!(
            code(stream.synchronize()),
            CUDA_ERROR_ILLEGAL_ADDRESS,
            "the streams are not synchronized"
        );
    });
}
